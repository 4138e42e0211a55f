#!/usr/bin/env bash
# The three programs as three processes: an authority, a tool and an agent, on ports of this
# machine. The agent's identity lives three seconds, so that it is renewed on the way; what each of
# them says is compared with what it must say. Ends within 30 seconds, or fails.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet -p aims-cli -p example-tool -p example-agent
SECONDS=0
programs=$(realpath "${CARGO_TARGET_DIR:-target}/debug")
folder=$(mktemp -d)
running=()
end() {
    kill "${running[@]}" 2>/dev/null || true
    rm -rf "$folder"
}
trap end EXIT
fail() {
    printf 'walk: %s\n' "$1" >&2
    tail -n 40 "$folder"/*.out >&2
    exit 1
}
within() { # seconds, then a command that must come true
    local tries=$(($1 * 10))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}
says() { # program, pattern
    grep -Eqs -- "$2" "$folder/$1.out"
}

# The tool's URL is configuration of all three, so its port is chosen first; a used
# one is chosen again.
for _ in 1 2 3 4 5; do
    export TOOL_URL=http://127.0.0.1:$((20000 + RANDOM % 10000))/mcp
    "$programs/aims" authority serve --listen 127.0.0.1:0 --lifetime 3 \
        --agent "spiffe://example.org/agent=$folder/agent.token" \
        --resource "$TOOL_URL tools:call" >"$folder/authority.out" 2>&1 &
    authority=$!
    running+=("$authority")
    within 10 says authority '^issuer' || fail 'the authority does not start'
    AUTHORITY_URL=$(sed -n 's/^issuer *//p' "$folder/authority.out")
    export AUTHORITY_URL
    "$programs/example-tool" >"$folder/tool.out" 2>&1 &
    tool=$!
    running+=("$tool")
    if within 10 says tool '^tool '; then break; fi
    kill "$tool" "$authority" 2>/dev/null || true
    rm -f "$folder/agent.token"
done
says tool '^tool ' || fail 'the tool does not start'

port=${TOOL_URL##*:}

# A caller without an identity gets the same answer at every path, so it cannot learn which exist.
unknown() { # path
    exec 4<>"/dev/tcp/127.0.0.1/${port%%/*}"
    printf 'POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" >&4
    timeout 5 sed -n '1p; /^www-authenticate:/Ip' <&4
    exec 4>&-
}
challenge=$(unknown /mcp/call)
case $challenge in
*' 401 '*'scope="tools:call"'*) ;;
*) fail "an unknown caller gets: $challenge" ;;
esac
for path in /mcp/whoami /mcp/admin /mcp/nothing /nothing; do
    [ "$(unknown "$path")" = "$challenge" ] || fail "an unknown caller gets another answer at $path"
done

export BOOTSTRAP_TOKEN_FILE=$folder/agent.token ROUNDS=5
timeout 15 "$programs/example-agent" >"$folder/agent.out" 2>&1 || fail 'the agent fails'

expect() { # program, how often, pattern
    local found
    found=$(grep -Ec -- "$3" "$folder/$1.out" || true)
    [ "$found" = "$2" ] || fail "the $1 says '$3' $found times, not $2"
}
expect agent 1 '^I am       spiffe://example.org/agent$'
expect agent 5 '^GET /mcp/whoami +200 you are spiffe://example.org/agent, with a token for spiffe://example.org/agent$'
expect agent 5 '^POST /mcp/call +200 6 times 7 is 42, spiffe://example.org/agent$'
expect agent 5 '^POST /mcp/admin +403 '
expect tool 5 '^let in     spiffe://example.org/agent: POST "/mcp/call"$'
expect tool 5 '^refused    spiffe://example.org/agent: POST "/mcp/admin", guard.forbidden$'
wits=$(sed -n 's/^my WIT is  //p' "$folder/agent.out" | sort -u | wc -l)
[ "$wits" -ge 2 ] || fail 'the identity was not renewed'
if grep -Fq -- "$(cat "$folder/agent.token")" "$folder"/*.out; then fail 'the bootstrap token was printed'; fi

# The bootstrap token was good once: a second agent that found it gets nothing, and the authority
# says why.
if timeout 10 "$programs/example-agent" >"$folder/second.out" 2>&1; then fail 'the token was good twice'; fi
expect authority 1 'identity.enrolment_used'
expect second 1 '^agent +no identity from .*: the identity server answered 403 '
expect second 1 '^a bootstrap token is good once'

kill -TERM "$authority"
wait "$authority" || fail 'the authority does not end well'
printf 'walk: an agent enrolled, renewed itself %s times, was let in and refused as it should be (%ss)\n' "$((wits - 1))" "$SECONDS"
