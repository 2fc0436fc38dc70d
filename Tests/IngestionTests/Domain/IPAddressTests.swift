import Models
import Testing

@testable import IngestionDomain

@Suite("IP addresses")
struct IPAddressTests {
    @Test("an address loses what tells one household from the next")
    func truncation() {
        let table: [(String, String)] = [
            ("203.0.113.77", "203.0.113.0"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.0"),
            ("2001:db8:1234:5678:9abc:def0:1:2", "2001:db8:1234::"), ("2001:DB8::1", "2001:db8::"),
            ("::1", "::"), ("::", "::"), ("fe80::1:2:3:4", "fe80::"), ("0:0:abc::7", "0:0:abc::"),
            ("::ffff:203.0.113.77", "203.0.113.0"), ("::FFFF:cb00:714d", "203.0.113.0"),
            ("0:0:0:0:0:ffff:1.2.3.4", "1.2.3.0"), ("64:ff9b::192.0.2.33", "64:ff9b::"), ("1::", "1::"),
            ("1:0:2:0:0:0:0:0", "1:0:2::"), ("0001:0002:0003:0004:0005:0006:0007:0008", "1:2:3::"),
        ]
        for (text, expected) in table { #expect(IPAddress.truncated(text) == expected, "\(text)") }
    }

    @Test("what is no address is none")
    func refused() {
        for text in [
            "", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.-4", "1.2.3.4 ", " 1.2.3.4",
            "1.2.3.4:80", "1..3.4",
            "1.2.3.+4", "0x1.2.3.4", "1.2.3.٤", "unknown", "localhost", ":", ":::", "1::2::3",
            "1:2:3:4:5:6:7", "12345::",
            "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "g::", "fe80::1%eth0", "[::1]",
            "::1.2.3",
            "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", ":1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:",
            "::ffff:1.2.3.04",
            "+1::", "::/0", String(repeating: "0", count: 100) + "::",
        ] { #expect(IPAddress.truncated(text) == nil, "\(text)") }
    }

    @Test("the text of an address is that of RFC 5952")
    func canonical() {
        let table: [(String, String)] = [
            ("2001:0db8:0:0:0:0:2:1", "2001:db8::2:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:DB8::AbCd", "2001:db8::abcd"), ("0:0:0:0:0:0:0:1", "::1"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ]
        for (text, expected) in table { #expect(IPAddress(text)?.description == expected) }
    }

    @Test("an address reads back from its own text, and truncating twice is truncating once")
    func roundTrip() {
        var generator = planGenerator()
        for _ in 0..<5000 {
            let groups = (0..<8).map { _ in
                generator.chance(2) ? "0" : String(generator.number(0...0xFFFF), radix: 16)
            }
            let address = IPAddress(groups.joined(separator: ":"))
            #expect(address != nil)
            #expect(address.flatMap { IPAddress($0.description) } == address)
            #expect(address?.truncated.truncated == address?.truncated)
        }
        let alphabet = Array("0123456789abf:.%x").map(String.init)
        for _ in 0..<20_000 {
            let text = (0..<generator.number(0...14)).map { _ in alphabet.pick(&generator) }.joined()
            if let address = IPAddress(text) { #expect(IPAddress(address.description) == address) }
        }
    }
}
