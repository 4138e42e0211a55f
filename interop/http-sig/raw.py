"""HTTP/1.1 messages in files, as plain as the drivers need them: lines, and the bytes behind them."""

from dataclasses import dataclass


@dataclass
class Message:
    """A start line, field lines in order (a folded value keeps its folds), and the content."""

    start: str
    fields: list[tuple[str, str]]
    body: bytes

    def first(self, name):
        """The value of the first line of that name."""
        return next((value for own, value in self.fields if own.lower() == name), None)


def parse(data: bytes) -> Message:
    """Reads a message whose lines end in CRLF."""
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    fields = []
    for line in lines:
        if line[0] in " \t":
            name, value = fields.pop()
            fields.append((name, f"{value}\r\n{line}"))
        else:
            name, _, value = line.partition(":")
            fields.append((name, value))
    return Message(start, fields, body)


def write(message: Message) -> bytes:
    """The same message, with whatever fields it has now. What was not touched comes out as it came in."""
    head = [message.start, *(f"{name}:{value}" for name, value in message.fields)]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + message.body


def with_signature(message: Message, signature_input: str, signature: str) -> Message:
    """The message with these two fields in place of those that it had."""
    rest = [it for it in message.fields if it[0].lower() not in ("signature", "signature-input")]
    added = [("Signature-Input", f" {signature_input}"), ("Signature", f" {signature}")]
    return Message(message.start, rest + added, message.body)


def target_uri(request: Message, scheme: str) -> str:
    """The target URI of a request (RFC 9112 §3.3)."""
    method, target, _ = request.start.split(" ")
    authority = (request.first("host") or "").strip()
    if target.startswith("/"):
        return f"{scheme}://{authority}{target}"
    if target == "*":
        return f"{scheme}://{authority}"
    if method == "CONNECT":
        return f"{scheme}://{target}"
    return target
