import uuid

from api.core.text.segment_hash import child_chunk_id, content_hash, segment_id

DOCUMENT = "6f2c1f0e-4a43-4d2b-9a7e-0d8f0c9f4b11"


def test_content_hash_white_space_and_accent_form_make_no_difference() -> None:
    assert content_hash(" caf\u00e9\n\n is  open ") == content_hash("cafe\u0301 is open")


def test_content_hash_other_words_or_case_give_another() -> None:
    assert len({content_hash(text) for text in ("a b", "ab", "A b", "", "\ud800")}) == 5


def test_content_hash_of_known_text_never_changes() -> None:
    assert content_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_segment_id_repeated_run_gives_the_same_and_any_difference_another() -> None:
    one, two = content_hash("one"), content_hash("two")
    names = [
        segment_id(DOCUMENT, 1, 1, one),
        segment_id(DOCUMENT, 2, 1, one),
        segment_id(DOCUMENT, 1, 2, one),
        segment_id(DOCUMENT, 1, 1, two),
        segment_id(str(uuid.UUID(int=1)), 1, 1, one),
        child_chunk_id(DOCUMENT, 1, one),
    ]

    assert len({uuid.UUID(name) for name in names}) == len(names)
    assert names[0] == segment_id(DOCUMENT, 1, 1, content_hash(" one "))
    assert child_chunk_id(names[0], 1, two) == child_chunk_id(names[0], 1, two)
