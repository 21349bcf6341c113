import subprocess
import sys
import time

import pytest

from api.core.rag.html import decode_html, html_to_markdown
from tests.waiting import assert_quick

FILLER = "Words of the content itself. " * 5


def test_html_is_not_paid_for_before_a_page_is_read() -> None:
    heavy = "{'bs4', 'lxml', 'markdownify', 'charset_normalizer'}"
    code = f"import sys, api.core.rag.sources.website, api.core.rag.html; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def markdown(body: str, *, url: str = "https://site.example/dir/page") -> str:
    return html_to_markdown(body, url=url).markdown


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h1>One</h1><h3>Three</h3><p>a<br>b</p>", "# One\n\n### Three\n\na\nb"),
        ("<ul><li>a<li>b<ul><li>c</ul></ul>", "- a\n- b\n  - c"),
        ("<ol start=3><li>a<li>b</ol>", "3. a\n4. b"),
        (f"<ol start={'9' * 5000}><li>a<li>b</ol>", "1. a\n2. b"),
        ("<ol><li><p>a</p><p>b</p></li></ol>", "1. a\n\n   b"),
        ("<b>bold</b> <em>it</em> <code>x_y</code> a_b*c", "**bold** *it* `x_y` a_b*c"),
        ("<blockquote>q</blockquote>", "> q"),
        ('<pre><code class="x language-py">a = 1\n\nb</code></pre>', "```py\na = 1\n\nb\n```"),
        ("<pre class=x><code>a</code></pre>", "```\na\n```"),
        ("<table><tr><td>a<td>b<tr><td>c<td>d\ne</table>", "| a | b |\n| --- | --- |\n| c | d e |"),
        (
            "<table><thead><tr><th>h</thead><tbody><tr><td>x</tbody></table>",
            "| h |\n| --- |\n| x |",
        ),
        ('see <a href="../x?y#z">the <b>page</b></a>!', "see [the **page**](https://site.example/x?y#z)!"),
        ('<a href="//other.example/">o</a>', "[o](//other.example/)".replace("//", "https://", 1)),
        (
            '<a href="javascript:x()">text</a> <a name="n">anchor</a> <a href="http://[">bad</a>',
            "text anchor bad",
        ),
        ('<h2>Head<a href="#head">¶</a></h2>', "## Head"),
        (
            '<a href="x"><img src="data:image/png;base64,AAAA" alt="A cat"></a>',
            "[A cat](https://site.example/dir/x)",
        ),
        ("<p>a</p><script>s()</script><style>s{}</style><template>t</template><!-- c --><p>b</p>", "a\n\nb"),
        ("<p hidden>a</p><p aria-hidden=true>b</p><button>c</button><p>d</p>", "d"),
        ("<body hidden><p>shown by script</p>", "shown by script"),
        ("plain words", "plain words"),
        ("", ""),
        ("<?xml version='1.0' encoding='x'?><html xmlns='http://www.w3.org/1999/xhtml'><p>x</p></html>", "x"),
        ("1 &lt; 2 &amp; 3 &#8364;&nbsp;x", "1 < 2 & 3 € x"),
        ("a\0b\ud800c", "abc"),
    ],
)
def test_html_to_markdown_keeps_structure_and_drops_what_nobody_reads(html: str, expected: str) -> None:
    assert markdown(html) == expected


def test_html_to_markdown_links_are_absolute_each_once_and_from_the_whole_page() -> None:
    html = '<nav><a href="a">1</a></nav><a href="/b#c">2</a><a href="a">3</a><map><area href="?q"></map>'
    found = html_to_markdown(html, url="https://site.example/dir/", only_main_content=True)
    assert found.links == (
        "https://site.example/dir/a",
        "https://site.example/b#c",
        "https://site.example/dir/?q",
    )


def test_html_to_markdown_without_an_address_leaves_links_as_they_are() -> None:
    found = html_to_markdown('<a href="b">x</a> <a href="https://a.example/">y</a>')
    assert (found.markdown, found.links) == ("x [y](https://a.example/)", ("b", "https://a.example/"))


@pytest.mark.parametrize(
    ("head", "title", "description"),
    [
        ("<title> A\n b </title><meta name=description content=' c \n d '>", "A b", "c d"),
        ('<meta property="og:title" content="T"><meta property="og:description" content="D">', "T", "D"),
        ("<h1>Head <i>line</i></h1>", "Head line", ""),
        ("<title></title>", "", ""),
    ],
)
def test_html_to_markdown_title_and_description(head: str, title: str, description: str) -> None:
    found = html_to_markdown(head)
    assert (found.title, found.description) == (title, description)


AROUND = (
    "<header>Top</header><nav>Menu</nav><div role=navigation>Crumbs</div>{}"
    "<aside>Ads</aside><footer>Legal</footer>"
)


@pytest.mark.parametrize(
    "content",
    [
        f"<main><header>Own</header>{FILLER}</main>",
        f"<div role=main><header>Own</header>{FILLER}</div>".replace("header", "p"),
        f"<article><header>Own</header>{FILLER}</article><p>teaser</p>",
        f"<p>Own</p>{FILLER}",
        f"<article>Own</article><article>{FILLER}</article>",
        f"<div><p>Own</p>{FILLER}</div><main>too little</main>",
    ],
)
def test_html_to_markdown_main_content_leaves_out_what_surrounds_it(content: str) -> None:
    html = AROUND.format(content)
    found = html_to_markdown(html, only_main_content=True).markdown
    assert "Own" in found
    assert FILLER.strip() in found
    assert not any(word in found for word in ("Top", "Menu", "Crumbs", "Ads", "Legal"))
    assert all(word in markdown(html) for word in ("Top", "Menu", "Crumbs", "Ads", "Legal"))


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 5000 + "deep",
        "<blockquote>a" * 5000 + "deep",
        "<ul><li>" * 90 + "deep",
        "<header>" * 5000 + "deep",
        "<ol>" + "<li>x" * 8_000 + "<li>deep",
        "<table><thead>" + "<tr><td>x" * 4_000 + "<tr><td>deep",
        "<p>x</p><script></script>" * 5000 + "deep",
        "<article>x</article>" * 5000 + "deep",
        "<td colspan=1000>" * 5000 + "deep",
    ],
)
@pytest.mark.parametrize("only_main_content", [False, True])
def test_html_to_markdown_hostile_page_takes_little_time(html: str, only_main_content: bool) -> None:
    started = time.process_time()
    found = html_to_markdown(html, only_main_content=only_main_content)
    assert "deep" in found.markdown
    assert len(found.markdown) < 10 * len(html)
    assert_quick(time.process_time() - started, 1.5)


@pytest.mark.parametrize(
    ("encoding", "declared", "in_page"),
    [
        ("utf-8", None, ""),
        ("utf-8", "gbk", "<meta charset=gbk>"),
        ("utf-8-sig", "latin-1", ""),
        ("utf-16", "utf-8", ""),
        ("gb18030", "gb2312", ""),
        ("gb18030", None, '<meta http-equiv="Content-Type" content="text/html; charset=GB2312">'),
        ("gb18030", "utf-8", "<meta charset='gbk'>"),
        ("big5", "no-such-charset", '<meta charset="big5">'),
        ("gb18030", None, ""),
    ],
)
def test_decode_html_finds_the_encoding(encoding: str, declared: str | None, in_page: str) -> None:
    text = f"<html><head>{in_page}<title>知識</title></head><p>這是一段用來測試編碼的中文內容。</p></html>"
    assert decode_html(text.encode(encoding), declared) == text


def test_decode_html_bytes_in_no_encoding_still_give_text() -> None:
    assert "words" in decode_html(b"\xff\xfe\x00words"[2:] + bytes(range(256)), "utf-8")
