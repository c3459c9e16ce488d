"""Bodies drawn by Hypothesis: mostly good ones with all kinds of oddities, and plain ones of few shapes."""

from __future__ import annotations

from hypothesis import strategies as st

from ingest.decode import Layout

SPACE = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n"])
NAMES = st.sampled_from(["n", "o", "a", "b", "user", "", "é", "n\\u0061", "x" * 128, "x" * 129])
TEXTS = st.sampled_from(
    ['"x"', '"1.50"', '"007"', '"é"', '"\\n"', '"\\ud800"', '""', '"a\\"b}"', "1", "1.250", "-0", "3e2"]
)
VALUES = st.one_of(
    TEXTS, st.sampled_from(["true", "false", "null", "[1,{}]", '{"c":1}', "12345678901234567890", "nul"])
)
FIELD_VALUES = st.one_of(st.sampled_from(['"t"', '"u"', '"a"', '"1.0"', '"2023-11-20T11:00:00Z"', '"é"']), VALUES)
OTHER_NAMES = st.sampled_from(
    "id source type subject time specversion data properties amount sku_id customer_id ext data_base64 i\\u0064".split()
)


@st.composite
def objects(draw: st.DrawFn) -> str:
    """An event's text: mostly good, with fields in any order, left out, repeated or unknown, and odd spacing."""
    pairs = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    data = "{" + ",".join(f'{draw(SPACE)}"{name}"{draw(SPACE)}:{value}' for name, value in pairs) + draw(SPACE) + "}"
    good = draw(
        st.sampled_from(
            [
                {"specversion": '"1.0"', "id": '"a"', "source": '"s"', "type": '"t"', "subject": '"c"', "data": data},
                {"id": f'"{draw(st.integers(0, 5))}"', "type": '"u"', "subject": '"c"', "properties": data},
                {"id": '"b"', "type": '"v"', "subject": '"c"', "time": '"2023-11-20T11:00:00.5Z"', "properties": data},
            ]
        )
    )
    fields = list(good.items())
    if draw(st.integers(0, 3)) == 0:
        fields += draw(st.lists(st.tuples(OTHER_NAMES, FIELD_VALUES), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        fields = draw(st.permutations(fields))[draw(st.integers(0, 1)) :]
    return "{" + ",".join(f'{draw(SPACE)}"{n}"{draw(SPACE)}:{draw(SPACE)}{v}' for n, v in fields) + draw(SPACE) + "}"


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, Layout]:
    """A body of some events, perhaps with a byte changed, put in or taken out, or cut short."""
    events = draw(st.lists(objects(), min_size=1, max_size=6))
    layout: Layout = draw(st.sampled_from(["document", "document", "lines"]))
    ends = st.sampled_from(["\n", "\r\n", " \n", "\n\n"])
    if layout == "lines":
        text = "".join(event.replace("\n", " ") + draw(ends) for event in events).encode()
    else:
        text = (draw(SPACE) + "[" + ",".join(events) + draw(SPACE) + "]" + draw(SPACE)).encode()
    if draw(st.integers(0, 2)) == 0:
        at = draw(st.integers(0, len(text)))
        put = draw(st.sampled_from([b"", b",", b"{", b"}", b"]", b'"', b"\\", b"\xff", b"\0", b"1", b":", b"\n", b" "]))
        text = text[:at] + put + text[at + draw(st.integers(0, 2)) :]
    if draw(st.integers(0, 5)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    return text, layout


TYPES = st.sampled_from("tuv")
PLAIN_TEXTS = st.sampled_from(["x", "1.50", "007", "c-17", "a b", "x" * 17])
PLAIN_VALUES = st.sampled_from(['"x"', '"1.50"', "1", "1.250", "0.5", "-7", "true", "false", '"a,b}"', '""'])
TIMES = st.sampled_from(["2023-11-20T11:00:00Z", "2023-11-20T11:01:59.25Z", "2023-11-20T12:00:07+01:00"])


@st.composite
def shapes(draw: st.DrawFn) -> list[tuple[str, st.SearchStrategy[str]]]:
    """What stands between the values of an event, each piece with what may follow it; nothing follows the last."""
    names = ["n", *draw(st.lists(st.sampled_from(["o", "a", "b", "user"]), max_size=3, unique=True))]
    cloudy = draw(st.booleans())
    fields = ["id", "type", "subject", *draw(st.sampled_from([[], ["time"], ["time", "ext"], ["ext"]]))]
    fields = draw(st.permutations([*fields, *(["source", "specversion", "data"] if cloudy else ["properties"])]))
    pieces: list[tuple[str, st.SearchStrategy[str]]] = []
    text = "{"
    for field in fields:
        text += f'{draw(SPACE)}"{field}"{draw(SPACE)}:{draw(SPACE)}'
        if field in {"data", "properties"}:
            for place, name in enumerate(names):
                pieces.append((text + ("," if place else "{") + f'"{name}":', PLAIN_VALUES))
                text = draw(SPACE)
            text += "}"
        elif field == "specversion":
            text += '"1.0"'
        else:
            kind = {"type": TYPES, "time": TIMES}.get(field, PLAIN_TEXTS)
            pieces.append((text, kind.map(lambda value: f'"{value}"')))
            text = ""
        text += draw(SPACE) + ","
    return [*pieces, (text[:-1] + "}", st.just(""))]


@st.composite
def plain_bodies(draw: st.DrawFn) -> tuple[bytes, Layout]:
    """Up to twelve plain events of up to three shapes."""
    known = draw(st.lists(shapes(), min_size=1, max_size=3))
    events = []
    for _ in range(draw(st.integers(1, 12))):
        pieces = draw(st.sampled_from(known))
        events.append("".join(text + draw(values) for text, values in pieces))
    layout: Layout = draw(st.sampled_from(["document", "lines"]))
    if layout == "lines":
        return "\n".join(event.replace("\n", " ").replace("\r", " ") for event in events).encode(), layout
    return f"[{','.join(events)}]".encode(), layout
