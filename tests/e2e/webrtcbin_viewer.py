"""A WHEP viewer made of GStreamer's webrtcbin: libnice, OpenSSL and libsrtp, nothing that a browser or we use.

`/usr/bin/python3 webrtcbin_viewer.py WHEP_URL PICTURES PEM` (the interpreter that Debian's bindings are for) prints
JSON: pictures decoded, their size, and what was agreed on. Ends with an error after 20 s.

PEM holds an ECDSA key and certificate: GStreamer 1.22 makes RSA ones by default, which WebRTC does not ask for
(RFC 8827 §6.5) and the server's DTLS does not take.
"""

import hashlib
import json
import re
import ssl
import sys
import time
import urllib.request
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

WITHIN_S = 20
H264 = "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,packetization-mode=(string)1"


class Viewer:
    """One session: offer, answer, pictures."""

    def __init__(self, url: str, wanted: int, pem: str) -> None:
        self.url = url
        self.pem = pem
        self.wanted = wanted
        self.pictures = 0
        self.size = None
        self.answer = ""
        self.began = time.monotonic()
        self.first_picture_ms = None
        self.loop = GLib.MainLoop()
        self.failure = None
        self.pipeline = Gst.Pipeline.new("viewer")
        self.webrtc = Gst.ElementFactory.make("webrtcbin", "webrtc")
        self.webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.webrtc.set_property("latency", 50)
        self.webrtc.connect("deep-element-added", self.certify)
        self.pipeline.add(self.webrtc)
        direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
        self.webrtc.emit("add-transceiver", direction, Gst.Caps.from_string(H264))
        self.webrtc.connect("pad-added", self.play)
        self.pipeline.get_bus().add_signal_watch()
        self.pipeline.get_bus().connect("message::error", lambda _, message: self.fail(str(message.parse_error())))

    def run(self) -> int:
        self.pipeline.set_state(Gst.State.PLAYING)
        self.webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(self.offered, None))
        GLib.timeout_add_seconds(WITHIN_S, lambda: self.fail(f"{self.pictures} pictures within {WITHIN_S} s"))
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)
        if self.failure is not None:
            sys.stderr.write(f"{self.failure}\n{self.answer}")
            return 1
        agreed = [line for line in self.answer.splitlines() if line.startswith(("a=rtpmap", "a=fingerprint"))]
        print(
            json.dumps(
                {
                    "pictures": self.pictures,
                    "size": self.size,
                    "first_picture_ms": self.first_picture_ms,
                    "agreed": agreed,
                }
            )
        )
        return 0

    def certify(self, _bin: Gst.Bin, _inside: Gst.Bin, element: Gst.Element) -> None:
        if element.get_factory() is not None and element.get_factory().get_name() == "dtlsdec":
            element.set_property("pem", self.pem)

    def fail(self, why: str) -> bool:
        self.failure = why
        self.loop.quit()
        return False

    def offered(self, promise: Gst.Promise, _: object) -> None:
        promise.wait()
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        self.webrtc.emit("set-local-description", offer, None)
        # The server learns our addresses from our requests: nothing of ours has to be gathered first.
        # GStreamer 1.22 takes the fingerprint of the key as well, where a PEM holds one.
        certificate = ssl.PEM_cert_to_DER_cert(self.pem.partition("-----BEGIN PRIVATE")[0])
        fingerprint = hashlib.sha256(certificate).digest().hex(":").upper()
        text = re.sub(r"(?m)^a=fingerprint:\S+ \S+", f"a=fingerprint:sha-256 {fingerprint}", offer.sdp.as_text())
        request = urllib.request.Request(self.url, text.encode(), {"Content-Type": "application/sdp"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                self.answer = response.read().decode()
        except OSError as error:
            self.fail(str(error))
            return
        _, sdp = GstSdp.SDPMessage.new_from_text(self.answer)
        answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        self.webrtc.emit("set-remote-description", answer, None)

    def play(self, _: Gst.Element, pad: Gst.Pad) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        decoding = "rtph264depay ! h264parse ! avdec_h264 ! fakesink name=end sync=false"
        chain = Gst.parse_bin_from_description(decoding, True)
        end = chain.get_by_name("end").get_static_pad("sink")
        end.add_probe(Gst.PadProbeType.BUFFER, self.decoded)
        self.pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    def decoded(self, pad: Gst.Pad, _: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        if self.first_picture_ms is None:
            self.first_picture_ms = round(1000 * (time.monotonic() - self.began))
            caps = pad.get_current_caps().get_structure(0)
            self.size = [caps.get_value("width"), caps.get_value("height")]
        self.pictures += 1
        if self.pictures == self.wanted:
            GLib.idle_add(self.loop.quit)
        return Gst.PadProbeReturn.OK


if __name__ == "__main__":
    Gst.init(None)
    sys.exit(Viewer(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).read_text()).run())
