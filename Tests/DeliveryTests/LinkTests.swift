import DeliveryDomain
import Models
import Testing

@Suite struct LinkTests {
    private func rewrite(_ html: String, untouched: Set<String> = []) -> TrackedLinks {
        TrackedLinks(html: html, untouched: untouched, pixelURL: "https://m.example/p.gif") {
            "https://m.example/c/\($0)"
        }
    }

    @Test("web links pass the counter, all others stay as they are")
    func links() {
        let url = "https://shop.example/a?x=1&y=2"
        let tracked = rewrite(
            "<A class='x' HREF=\"https://shop.example/a?x=1&amp;y=2\">a</A><a href='mailto:a@b.example'>b</a><abbr href=\"http://x.example\">"
        )
        #expect(tracked.urls == [LinkKey(url): url])
        #expect(
            tracked.html.hasPrefix(
                "<A class='x' HREF=\"https://m.example/c/\(LinkKey(url))\">a</A><a href='mailto:a@b.example'>b</a><abbr"
            ))
        #expect(rewrite("<a data-href='https://x.example' href='https://y.example'>").urls.count == 1)
        #expect(rewrite("<!-- <a href='https://x.example'> --><a href=https://y.example>").urls.isEmpty)
        #expect(rewrite("<a href='https://u.example/1'>", untouched: ["https://u.example/1"]).urls.isEmpty)
        #expect(
            rewrite("<a href='https://u.example/1?lang=de'>", untouched: ["https://u.example/1"]).urls.isEmpty
        )
        #expect(
            rewrite("<a href='https://u.example/12'>", untouched: ["https://u.example/1"]).urls.count == 1)
        let secret = "https://u.example/AbCdEfGhIjKlMnOpQrStUv"
        for link in [
            "\(secret)/erasure", "https://v.example/?to=https%3A%2F%2Fu.example%2FAbCdEfGhIjKlMnOpQrStUv",
        ] {
            #expect(rewrite("<a href='\(link)'>", untouched: [secret]).urls.isEmpty)
        }
        #expect(rewrite("<a href=\"https://x.example").urls.isEmpty)
    }

    @Test("the pixel stands at the end of the body")
    func pixel() {
        #expect(
            rewrite("<body>x</BODY></html>").html
                == "<body>x<img src=\"https://m.example/p.gif\" width=\"1\" height=\"1\" alt=\"\"></BODY></html>"
        )
        #expect(rewrite("x").html.hasPrefix("x<img"))
    }

    @Test("a claim is read back as it was written, and nothing else is")
    func claims() throws {
        let id = try #require(MessageID("01931f2a-1234-7abc-8def-00ff00ff00ff"))
        let shard = try #require(Shard(number: 63))
        for claim in [
            TrackingClaim.open(shard, id), .unsubscribe(shard, id),
            .click(shard, id, key: LinkKey("https://x.example")),
        ] {
            #expect(TrackingClaim(bytes: claim.bytes) == claim)
            #expect(TrackingClaim(bytes: Array(claim.bytes.dropLast())) == nil)
            #expect(Base64.decode(Base64.encodeForURL(claim.bytes)) == claim.bytes)
        }
        #expect(Base64.decode("A") == nil)
        #expect(Base64.decode("AB") == nil)
        #expect(Base64.decode("A+-=") == nil)
    }
}
