import ConsentDomain
import Foundation
import Models
import Testing

/// Writes what the readers read, bit by bit, from the tables of the specifications.
private struct BitWriter {
    var bits: [Bool] = []

    mutating func put(_ value: Int, _ count: Int) {
        for shift in stride(from: count - 1, through: 0, by: -1) { bits.append(value >> shift & 1 == 1) }
    }

    mutating func put(field numbers: Set<Int>, _ count: Int) {
        guard count > 0 else { return }
        for number in 1...count { bits.append(numbers.contains(number)) }
    }

    mutating func fibonacci(_ value: Int) {
        var numbers = [1, 2]
        while numbers[numbers.count - 1] <= value { numbers.append(numbers.suffix(2).reduce(0, +)) }
        numbers.removeAll { $0 > value }
        var (rest, places) = (value, Set<Int>())
        for place in numbers.indices.reversed() where numbers[place] <= rest {
            places.insert(place)
            rest -= numbers[place]
        }
        for place in numbers.indices { bits.append(places.contains(place)) }
        bits.append(true)
    }

    mutating func vendors(_ numbers: Set<Int>, asRanges: Bool) {
        let most = numbers.max() ?? 0
        put(most, 16)
        put(asRanges ? 1 : 0, 1)
        guard asRanges else { return put(field: numbers, most) }
        var ranges: [ClosedRange<Int>] = []
        for number in numbers.sorted() {
            if let last = ranges.last, last.upperBound + 1 == number {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
        }
        put(ranges.count, 12)
        for range in ranges {
            put(range.count > 1 ? 1 : 0, 1)
            put(range.lowerBound, 16)
            if range.count > 1 { put(range.upperBound, 16) }
        }
    }

    func text(padding: Int = 6) -> String {
        var bits = bits
        while bits.count % padding != 0 { bits.append(false) }
        while bits.count % 6 != 0 { bits.append(false) }
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        return String(
            stride(from: 0, to: bits.count, by: 6).map { start in
                alphabet[bits[start..<start + 6].reduce(0) { $0 << 1 | ($1 ? 1 : 0) }]
            })
    }
}

@Suite("Strings of IAB's frameworks")
struct SignalStringTests {
    /// From the specification of TCF 2 and the documentation of those who write such strings.
    @Test("strings that others have written are read")
    func vectors() throws {
        // IAB's own example of a core segment, in the specification.
        let example = try TCString(
            "COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA.IBAgAAAgAIAwgAgAAAAEAAAACA.YAAAAAAAAAA")
        #expect(example.policyVersion == 2)
        #expect(example.purposesConsent == [2, 10])
        #expect(example.specialFeatureOptIns == [1])
        #expect(example.vendorsConsent.isEmpty)
        #expect(example.disclosedVendors == [23, 37, 47, 48, 53, 65, 98, 129])
        let older = try TCString("COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA")
        #expect(older.purposesConsent == [1, 2, 3])
        #expect(older.vendorsConsent == [2, 6, 8])
        #expect(older.disclosedVendors == nil)
        // The examples of headers in the specification of GPP: Europe, Europe and US Privacy.
        let both = try GPPString("DBACNY~COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA~1YNN")
        #expect(both.tcf == older)
        #expect(both.choices == [.sale: .didNot])
        #expect(try GPPString("DBABM~COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA").tcf == older)
        // Of the national section of the US, with and without a part for Global Privacy Control.
        #expect(
            try GPPString("DBABLA~BVQqAAAAAAA").choices == [
                .sale: .didNot, .sharing: .didNot, .targetedAdvertising: .didNot,
            ])
        #expect(try GPPString("DBABLA~BVAoAAAAAABk.QA").choices == [.sale: .didNot, .sharing: .didNot])
        #expect(try GPPString("DBABLA~BAAEAAAAAAA.QA").choices[.sharing] == .optedOut)
        // Utah, whose choices come after a fourth notice.
        var header = BitWriter()
        for (value, bits) in [(3, 6), (1, 6), (1, 12), (0, 1)] { header.put(value, bits) }
        header.fibonacci(11)
        #expect(
            try GPPString("\(header.text())~BVVkklWA").choices == [
                .sale: .optedOut, .targetedAdvertising: .optedOut,
            ])
    }

    @Test("a string that names vendors over and over is none, whatever it would cost to read")
    func repeatedVendors() {
        var generator = seededGenerator()
        guard let (written, _) = core(&generator) else {
            Issue.record("there is a core")
            return
        }
        var bits = BitWriter()
        bits.put(1, 3)
        bits.put(65_535, 16)
        bits.put(1, 1)
        bits.put(2_900, 12)
        for _ in 0..<2_900 {
            bits.put(1, 1)
            bits.put(1, 16)
            bits.put(65_535, 16)
        }
        #expect(throws: SignalMistake.self) { try TCString("\(written.text()).\(bits.text())") }
    }

    private func randomSet(_ generator: inout SeededGenerator, upTo most: Int) -> Set<Int> {
        let count = Int.random(in: 0...8, using: &generator)
        return Set((0..<count).map { _ in Int.random(in: 1...most, using: &generator) })
    }

    private func core(_ generator: inout SeededGenerator) -> (BitWriter, TCString)? {
        var writer = BitWriter()
        let created = Int.random(in: 1...1 << 34, using: &generator)
        let policy = Int.random(in: 2...5, using: &generator)
        let (features, purposes) = (randomSet(&generator, upTo: 12), randomSet(&generator, upTo: 24))
        let vendors = randomSet(&generator, upTo: 1_200)
        for (value, bits) in [
            (2, 6), (created, 36), (created + 7, 36), (300, 12), (2, 12), (1, 6), (4, 6), (13, 6), (120, 12),
            (policy, 6), (1, 1), (0, 1),
        ] { writer.put(value, bits) }
        writer.put(field: features, 12)
        writer.put(field: purposes, 24)
        writer.put(field: randomSet(&generator, upTo: 24), 24)
        for (value, bits) in [(0, 1), (3, 6), (7, 6)] { writer.put(value, bits) }
        writer.vendors(vendors, asRanges: Bool.random(using: &generator))
        writer.vendors(randomSet(&generator, upTo: 900), asRanges: Bool.random(using: &generator))
        writer.put(0, 12)
        guard var expected = try? TCString("COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA") else {
            return nil
        }
        expected.policyVersion = policy
        expected.purposesConsent = purposes
        expected.specialFeatureOptIns = features
        expected.vendorsConsent = vendors
        return (writer, expected)
    }

    @Test("what is written bit by bit by the tables is read as it was meant, in whole bytes or not")
    func written() throws {
        var generator = seededGenerator()
        for _ in 0..<1_000 {
            var (writer, expected) = try #require(core(&generator))
            var text = writer.text(padding: Bool.random(using: &generator) ? 6 : 8)
            if expected.policyVersion >= 5 || Bool.random(using: &generator) {
                let disclosed = randomSet(&generator, upTo: 1_200)
                var segment = BitWriter()
                segment.put(1, 3)
                segment.vendors(disclosed, asRanges: Bool.random(using: &generator))
                text += "." + segment.text()
                expected.disclosedVendors = disclosed
            }
            writer = BitWriter()
            let read = try TCString(text)
            #expect(read.lastUpdated != nil)
            expected.lastUpdated = read.lastUpdated
            #expect(read == expected, "\(text)")
        }
    }

    @Test(
        "from TCF 2.3 on a string that doesn't say whom people were told of is none, and who wasn't named has no consent"
    )
    func disclosed() throws {
        var writer = BitWriter()
        for (value, bits) in [
            (2, 6), (100, 36), (100, 36), (300, 12), (2, 12), (1, 6), (4, 6), (13, 6), (120, 12), (5, 6),
            (0, 2),
        ] { writer.put(value, bits) }
        writer.put(0, 12)
        writer.put(field: [1, 3], 24)
        writer.put(0, 24)
        for (value, bits) in [(0, 1), (3, 6), (7, 6)] { writer.put(value, bits) }
        writer.vendors([755, 2], asRanges: true)
        writer.vendors([], asRanges: false)
        writer.put(0, 12)
        #expect(throws: SignalMistake.self) { try TCString(writer.text()) }
        var segment = BitWriter()
        segment.put(1, 3)
        segment.vendors([755], asRanges: true)
        let string = try TCString(writer.text() + "." + segment.text())
        var names = SignalNames()
        (names.tcfPurposes, names.tcfVendors) = ([3], [755])
        #expect(string.consents(to: names))
        names.tcfVendors = [2, 755]
        #expect(!string.consents(to: names))
        names.tcfVendors = []
        names.tcfPurposes = [2]
        #expect(!string.consents(to: names))
    }

    @Test(
        "what can't be is refused",
        arguments: [
            "", ".", "C", "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKA", "!OvFyGB",
            "BOvFyGBOvFyGBAbAAAENAPCAAOAAAA",
            "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.",
            "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.AAAA",
            "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAAAAAA",
            "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAB",
            "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA==",
        ])
    func noTCString(text: String) {
        #expect(throws: SignalMistake.self) { try TCString(text) }
    }

    @Test(
        "what is no GPP string is refused",
        arguments: [
            "", "~", "DBABLA", "DBABLA~", "DBABLA~BVQqAAAAAAA~1YNN", "DBABM~BVQqAAAAAAA",
            "DBABLA~CVQqAAAAAAA~",
            "DBABLA~BVQqAAA", "DBACNY~COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA~2YNN",
            "DBABLA~BVQvAAAAAAA",
            "DBABLA~BVQqAAAAAAA.AA", "DBABLA~BVQqAAAAAAA.QA.QA",
            "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA",
            "DB////", "DBD_____", "DBABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ])
    func noGPPString(text: String) {
        #expect(throws: SignalMistake.self) { try GPPString(text) }
    }

    @Test("whatever is changed in a string, it is read or refused, and nothing breaks")
    func fuzz() throws {
        var generator = seededGenerator()
        let seeds = [
            "COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA.IBAgAAAgAIAwgAgAAAAEAAAACA.YAAAAAAAAAA",
            "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA",
            "DBACNY~COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA~1YNN",
            "DBABLA~BVQqAAAAAAA.QA", "DBABBg~BVQqAAAAAAA",
        ]
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~=é\0")
        var (read, refused) = (0, 0)
        for _ in 0..<20_000 {
            var text = Array(seeds[Int.random(in: 0..<seeds.count, using: &generator)])
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !text.isEmpty {
                let place = Int.random(in: 0..<text.count, using: &generator)
                let new = alphabet[Int.random(in: 0..<alphabet.count, using: &generator)]
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: text.remove(at: place)
                case 1: text.insert(new, at: place)
                case 2: text.removeSubrange(place...)
                default: text[place] = new
                }
            }
            let (tcf, gpp) = (try? TCString(String(text)), try? GPPString(String(text)))
            if tcf != nil || gpp != nil { read += 1 } else { refused += 1 }
        }
        #expect(read > 100 && refused > 1_000)
    }
}
