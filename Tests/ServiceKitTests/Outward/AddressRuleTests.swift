import ServiceKit
import Testing

@Suite("Addresses that may be called")
struct AddressRuleTests {
    @Test(
        "what is not of the Internet at large is refused, in whatever form",
        arguments: [
            "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
            "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.170", "192.0.2.1",
            "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
            "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:53aa:64c::1", "2001:db8::1",
            "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
            "fec0::1", "ff02::1", "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1",
        ])
    func refused(_ text: String) throws {
        #expect(!AddressRule().permits(try #require(IPAddress(text))))
    }

    @Test(
        "public addresses are called, also those at the borders of what is not",
        arguments: [
            "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
            "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860:4860::8888", "2003::1", "2000::1",
        ])
    func permitted(_ text: String) throws {
        #expect(AddressRule().permits(try #require(IPAddress(text))))
    }

    @Test("a network that the operator names may be called, and nothing beside it")
    func allowed() throws {
        let rule = AddressRule(
            allowed: try ["10.1.2.0/23", "fd00:1::/64", "192.168.0.7"].map { try #require(IPNetwork($0)) })
        for text in ["10.1.2.0", "10.1.3.255", "fd00:1::5", "192.168.0.7"] {
            #expect(rule.permits(try #require(IPAddress(text))), "\(text)")
        }
        for text in ["10.1.4.0", "10.1.1.255", "fd00:1:0:1::5", "192.168.0.8", "::ffff:10.1.2.0"] {
            #expect(!rule.permits(try #require(IPAddress(text))), "\(text)")
        }
    }

    @Test(
        "what is no address, or has more than one reading, is none",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.-4", "1.2.3.+4", "0x7f.0.0.1",
            " 1.2.3.4",
            "1.2.3.4 ", "1.2.3.4:80", "fe80::1%lo", "[::1]", ":::", "g::1", "localhost", "127.1",
            "2130706433",
        ])
    func noAddress(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test(
        "a network is written with its prefix",
        arguments: ["10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/x", "/8", "10/8", "::/129", "1.2.3.4/8/8"])
    func noNetwork(_ text: String) {
        #expect(IPNetwork(text) == nil)
    }
}

@Suite("URLs that may be called")
struct OutwardURLTests {
    @Test(
        "a URL is put together again as it was read",
        arguments: [
            ("https://Example.COM", "https://example.com/"),
            ("HTTPS://a.example?x=1", "https://a.example/?x=1"),
            ("https://a.example:8443/p/q?x=%20", "https://a.example:8443/p/q?x=%20"),
            ("https://1.2.3.4/", "https://1.2.3.4/"),
            ("https://[2606:4700:0::1]:443/", "https://[2606:4700::1]:443/"),
            ("http://a_b.example/", "http://a_b.example/"),
        ])
    func read(_ text: String, _ again: String) throws {
        let url = try OutwardURL(text)
        #expect(url.description == again)
        #expect(try OutwardURL(again) == url)
    }

    @Test(
        "what readers of URLs disagree on is refused",
        arguments: [
            "", "https://", "https:///x", "ftp://a.example/", "//a.example", "a.example",
            "javascript:alert(1)",
            "https://user@a.example/", "https://user:p@a.example/", "https://a.example#@b.example/",
            "https://a.example/#f", "https://a.example\\@b.example/", "https://a.example:0/",
            "https://a.example:65536/",
            "https://a.example:+80/", "https://a.example:/", "https://a.example:80:80/",
            "https://a..example/",
            "https://.a.example/", "https://a.example./", "https://-a.example/", "https://a-.example/",
            "https://2130706433/", "https://127.1/", "https://0x7f000001/", "https://0177.0.0.1/",
            "https://1.2.3.4.5/",
            "https://[::1", "https://[::1]x/", "https://[fe80::1%25lo]/", "https://[1.2.3.4]/",
            "https://bücher.example/",
            "https://a.example/ü", "https://a b.example/", "https://a.example/\r\nHost: b",
            "https://a.example/\u{0}",
            "https://%61.example/", "https://a.example,b.example/",
            "https://" + String(repeating: "a", count: 64) + ".example/",
            "https://a.example/" + String(repeating: "x", count: 2048),
        ])
    func refused(_ text: String) {
        #expect(throws: OutwardURLError.self) { try OutwardURL(text) }
    }
}
