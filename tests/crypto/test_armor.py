"""Lines of text that people paste: each way to break one has its own message."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.armor import PAYLOAD_BYTES_MAX, Kind, decode, encode
from crypto.errors import InviteError, LocalError

LINE = encode(Kind.INVITE, b"what the invite says")


@given(st.sampled_from(Kind), st.binary(max_size=200))
def test_a_line_gives_its_payload_back(kind: Kind, payload: bytes) -> None:
    """Every payload of every kind comes back from its line, which has only plain letters."""
    line = encode(kind, payload)
    assert re.fullmatch(r"hg[rqa]1[A-Za-z0-9_-]+", line)
    assert decode(kind, line) == payload


@given(st.lists(st.integers(0, 60), max_size=10), st.sampled_from([" ", "\n", "\r\n", "\t "]))
def test_white_space_does_not_count(places: list[int], space: str) -> None:
    """Spaces and line ends pasted anywhere, around or inside, change nothing."""
    text = LINE
    for place in sorted(places, reverse=True):
        text = text[:place] + space + text[place:]
    assert decode(Kind.INVITE, text) == b"what the invite says"


@given(st.data())
def test_any_other_letter_is_noticed(data: st.DataObject) -> None:
    """One letter changed anywhere behind the prefix never goes unnoticed."""
    place = data.draw(st.integers(4, len(LINE) - 1))
    letter = data.draw(st.sampled_from("ABCXYZabcxyz0189-_"))
    text = LINE[:place] + letter + LINE[place + 1 :]
    if letter == LINE[place]:
        assert decode(Kind.INVITE, text) == b"what the invite says"
    else:
        with pytest.raises(InviteError, match=r"the invite is (damaged|cut off)"):
            decode(Kind.INVITE, text)


@pytest.mark.parametrize("end", range(4, len(LINE)))
def test_a_line_cut_off_anywhere_says_so(end: int) -> None:
    """Wherever the end is missing, the message says that it is, not that a letter changed."""
    with pytest.raises(InviteError, match="the invite is cut off: its end is missing") as caught:
        decode(Kind.INVITE, LINE[:end])
    assert caught.value.remedy == "copy the whole line again"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "this is not an invite: an invite begins with hgr1"),
        ("hg", "this is not an invite: an invite begins with hgr1"),
        ("hello", "this is not an invite: an invite begins with hgr1"),
        (LINE.upper(), "this is not an invite: an invite begins with hgr1"),
        ("hgx1" + LINE[4:], "this is not an invite: an invite begins with hgr1"),
        ("hgrx" + LINE[4:], "this is not an invite: an invite begins with hgr1"),
        ("hgr2" + LINE[4:], "this is an invite of a form this version does not know: hgr2"),
        ("hga9" + LINE[4:], "this is an approval of a form this version does not know: hga9"),
        (encode(Kind.APPROVAL, b"x"), "this is an approval, not an invite"),
        (encode(Kind.REQUEST, b"x"), "this is a request, not an invite"),
        (LINE[:20] + "," + LINE[21:], "the invite is damaged: ',' does not belong in it"),
        (LINE[:20] + "\u202e" + LINE[20:], "the invite is damaged: '\\u202e' does not belong"),
        (LINE[:20] + "\x00" + LINE[20:], "the invite is damaged: '\\x00' does not belong in it"),
        (LINE + "A", "the invite is damaged: 1 letters follow its end"),
        (LINE + LINE, f"the invite is damaged: {len(LINE)} letters follow its end"),
        ("hgr1_____" + LINE[9:], "the invite is damaged: its length cannot be"),
        (LINE[:20] + "x" + LINE[21:], "the invite is damaged: its checksum does not fit"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    """Each way a paste goes wrong has its own words and a remedy."""
    with pytest.raises(InviteError, match=re.escape(message)) as caught:
        decode(Kind.INVITE, text)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("wanted", "given_kind", "message"),
    [
        (Kind.APPROVAL, Kind.INVITE, "this is an invite, not an approval"),
        (Kind.APPROVAL, Kind.REQUEST, "this is a request, not an approval"),
        (Kind.REQUEST, Kind.APPROVAL, "this is an approval, not a request"),
    ],
)
def test_another_kind_says_where_it_belongs(wanted: Kind, given_kind: Kind, message: str) -> None:
    """A line of another kind is named, and the remedy says what to do with it."""
    with pytest.raises(InviteError, match=message) as caught:
        decode(wanted, encode(given_kind, b"x"))
    assert given_kind.use in caught.value.remedy
    assert wanted.prefix in caught.value.remedy


def test_the_spare_bits_of_the_last_letter_are_zero() -> None:
    """A last letter with other spare bits would be a second text of one invite: refused."""
    line = encode(Kind.INVITE, b"01234567")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(line[-1]) | 1]
    assert len(line) % 4 == 2
    with pytest.raises(InviteError, match="its checksum does not fit"):
        decode(Kind.INVITE, line[:-1] + last)


def test_a_payload_has_a_bound() -> None:
    """A payload of 1 MiB goes through, one byte more is refused when made."""
    longest = bytes(PAYLOAD_BYTES_MAX)
    assert decode(Kind.APPROVAL, encode(Kind.APPROVAL, longest)) == longest
    with pytest.raises(LocalError, match="the approval of 1048577 bytes is too long"):
        encode(Kind.APPROVAL, longest + b"\x00")


@given(st.text(max_size=60))
def test_any_text_is_refused_with_a_message(text: str) -> None:
    """Whatever is pasted, the answer is an InviteError with a remedy."""
    with pytest.raises(InviteError) as caught:
        decode(Kind.INVITE, text)
    assert caught.value.remedy
