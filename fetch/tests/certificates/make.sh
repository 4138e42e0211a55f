#!/bin/sh
# Makes the certificates of tests/tls.rs anew: one root, whose key is thrown away, and three leaves
# with one key. They certify nothing.
set -eu
here=$(pwd)
work=$(mktemp -d)
cd "$work"
touch index.txt
echo unique_subject=no > index.txt.attr
cat > ca.cnf <<'EOF'
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = names
[names]
commonName = supplied
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
EOF
sign() { # certificate, name, start, end, section
    openssl req -new -key "$6" -subj "/CN=$2" -out request.csr
    openssl ca -batch -notext -config ca.cnf -in request.csr -keyfile ca.key $7 -startdate "$3" -enddate "$4" -extensions "$5" -out "$1"
}
openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out leaf.key
sign ca.pem "test root" 20200101000000Z 21200101000000Z root ca.key -selfsign
leaf() { # certificate, name, end
    printf '[%s]\nsubjectAltName = DNS:%s\nextendedKeyUsage = serverAuth\nbasicConstraints = CA:FALSE\n' "$1" "$2" >> ca.cnf
    sign "$1" "$2" 20200101000000Z "$3" "$1" leaf.key "-cert ca.pem"
}
leaf localhost.pem localhost 21200101000000Z
leaf expired.pem localhost 20200102000000Z
leaf other.pem other.example 21200101000000Z
cp leaf.key ca.pem localhost.pem expired.pem other.pem "$here"
rm -r "$work"
