import Testing

@testable import CommandLine

@Suite struct CSVReaderTests {
    private func records(_ text: String, chunkSize: Int = 1 << 16) throws -> [[String]] {
        var reader = CSVReader(bytes: Array(text.utf8), chunkSize: chunkSize)
        var records: [[String]] = []
        while let record = try reader.next() { records.append(record.texts) }
        return records
    }

    @Test("fields are separated by commas, records by LF or CR LF, with or without a last line break")
    func plain() throws {
        #expect(try records("a,b\nc,d\r\ne,f") == [["a", "b"], ["c", "d"], ["e", "f"]])
        #expect(try records("a,b\r\n") == [["a", "b"]])
        #expect(try records(",\n") == [["", ""]])
        #expect(try records("") == [])
    }

    @Test("quoted fields hold commas, doubled quotes and line breaks as they stand")
    func quoted() throws {
        #expect(try records(#""a,b","say ""hi""","""#) == [["a,b", "say \"hi\"", ""]])
        #expect(
            try records("\"two\nlines\r\nthree\",x\ny,z") == [["two\nlines\r\nthree", "x"], ["y", "z"]])
        #expect(try records("\"\"\"\",\"\"\n") == [["\"", ""]])
    }

    @Test("the result is the same however the file is cut into chunks")
    func chunks() throws {
        let text = "\u{FEFF}id,\"na\"\"me\"\r\n1,\"a\r\nb\"\r\n\r\n2,\r,x\"y\n\"\",ü€😀\n"
        let whole = try records(text)
        for size in 1...text.utf8.count {
            #expect(try records(text, chunkSize: size) == whole, "chunks of \(size)")
        }
        #expect(whole.first == ["id", "na\"me"])
    }

    @Test("a quote inside an unquoted field is taken as it stands")
    func innerQuote() throws {
        #expect(try records("RECORD FRAME 7\" SINGLE,1\n") == [["RECORD FRAME 7\" SINGLE", "1"]])
    }

    @Test("an unclosed quote is reported with the line it begins on")
    func unclosed() {
        #expect(throws: CSVProblem.self) { try records("a,b\nc,\"d\ne,f\n") }
        do { _ = try records("a,b\nc,\"d\ne,f\n") } catch { #expect("\(error)".hasPrefix("line 2: ")) }
    }

    @Test("text after a closing quote is refused")
    func afterQuote() {
        #expect(throws: CSVProblem.self) { try records("\"a\"b,c\n") }
    }

    @Test("lines are counted through quoted line breaks and blank lines")
    func lines() throws {
        var reader = CSVReader(bytes: Array("a\n\"b\nc\"\n\nd\n".utf8))
        var lines: [Int] = []
        while let record = try reader.next() { lines.append(record.line) }
        #expect(lines == [1, 2, 5])
    }

    @Test("bytes that are not UTF-8, and NUL, give no text")
    func hostileBytes() throws {
        var reader = CSVReader(bytes: [0x61, 0x2C, 0xFF, 0xFE, 0x2C, 0x00, 0x0A])
        let record = try #require(try reader.next())
        #expect(record.text(0) == "a")
        #expect(record.text(1) == nil)
        #expect(record.text(2) == nil)
    }

    @Test("random records survive writing and reading")
    func roundTrip() throws {
        let seed = TestSeed.value
        var random = SplitMix64(seed: seed)
        let alphabet = ["a", "\"", ",", "\n", "\r", "\r\n", "é", " ", ""]
        for _ in 0..<300 {
            let width = random.next(in: 2...4)
            let wanted = (0..<random.next(in: 1...5)).map { _ in
                (0..<width).map { _ in
                    (0..<random.next(in: 0...6)).map { _ in random.element(of: alphabet) }.joined()
                }
            }
            let text = wanted.map { record in
                record.map {
                    "\""
                        + $0.split(separator: "\"", omittingEmptySubsequences: false).joined(
                            separator: "\"\"") + "\""
                }
                .joined(separator: ",")
            }.joined(separator: "\n")
            #expect(try records(text, chunkSize: random.next(in: 1...20)) == wanted, "MARTLET_SEED=\(seed)")
        }
    }
}
