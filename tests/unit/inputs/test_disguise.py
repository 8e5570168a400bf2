"""Files that would make a loader open other files or URLs are told by content, whatever they are called."""

import pytest

from api.errors import InvalidInputFile
from api.inputs.disguise import what_opens_others
from api.inputs.media import check_media
from api.jobs.cancel import CancelToken

HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
ID3 = b"ID3\x04\0\0\0\0\0\x05" + b"\0" * 5
REFERRING = {
    "hls": HLS,
    "hls after a byte order mark": b"\xef\xbb\xbf" + HLS,
    "hls after empty lines": b"\r\n \n" + HLS,
    "hls after a tag": ID3 + HLS,
    "hls after two tags": ID3 + ID3 + HLS,
    "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "dash": b'<?xml version="1.0"?>\n<!-- -->\n<MPD profiles="urn:mpeg:dash:profile:isoff-live:2011">',
    "dash after a long comment": b"<!--" + b"x" * 100_000 + b'--><MPD profiles="urn:mpeg:dash:profile:full:2011">',
    "sdp": b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nc=IN IP4 10.0.0.1\r\nm=video 5000 RTP/AVP 96\r\n",
    "imf": b'<?xml version="1.0"?><cpl:CompositionPlaylist>',
    "pls": b"[playlist]\nFile1=http://10.0.0.1/\n",
    "smil": b'<smil><body><video src="http://10.0.0.1/"/></body></smil>',
    "vobsub": b"# VobSub index file, v7\n",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
}
HARMLESS = {
    "text": b"a cat\nv=0\n",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>',
    "json": b'{"MPD": "x"}',
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nffconcat version 1.0\n",
    "mp3": ID3 + b"\xff\xfb\x90\x64" + b"\0" * 400,
    "binary with such words in it": b"\0\0\0\x18ftypmp42" + HLS + b"<MPD ",
    "a tag that never ends": b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
    "empty": b"",
}


@pytest.mark.parametrize("content", REFERRING.values(), ids=REFERRING.keys())
@pytest.mark.parametrize("name", ["clip.mp4", "song.mp3", "notes.txt", "x"])
def test_files_that_refer_elsewhere_are_refused(content, name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(InvalidInputFile) as caught:
        check_media(path, name, "", 10_000, "images.0.image", CancelToken())
    assert caught.value.details[0]["code"] == "refers_elsewhere"
    assert "send the content itself" in caught.value.message


@pytest.mark.parametrize("content", HARMLESS.values(), ids=HARMLESS.keys())
def test_other_files_are_not(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert what_opens_others(path) is None
