import Models
import Testing

@testable import IngestionDomain

@Suite("CSV files") struct CSVReaderTests {
    private func records(_ text: String, chunkSize: Int = 1 << 16) throws -> [[String]] {
        try Self.records(Array(text.utf8), chunkSize: chunkSize).map(\.texts)
    }

    static func records(_ bytes: [UInt8], chunkSize: Int = 1 << 16) throws -> [CSVRecord] {
        var reader = CSVReader()
        var records: [CSVRecord] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            reader.append(Array(rest.prefix(chunkSize)))
            rest = rest.dropFirst(chunkSize)
            while let record = try reader.next() { records.append(record) }
        }
        reader.finish()
        while let record = try reader.next() { records.append(record) }
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
        #expect(throws: UnreadableFile.self) { try records("a,b\nc,\"d\ne,f\n") }
        do { _ = try records("a,b\nc,\"d\ne,f\n") } catch { #expect("\(error)".hasPrefix("line 2: ")) }
    }

    @Test("a record that never ends is refused before it is held")
    func endless() throws {
        var reader = CSVReader(maxRecordBytes: 100)
        reader.append(Array("a\n\"".utf8) + [UInt8](repeating: 0x61, count: 200))
        #expect(try reader.next()?.texts == ["a"])
        #expect(throws: UnreadableFile.self) { try reader.next() }
    }

    @Test("text after a closing quote is refused")
    func afterQuote() {
        #expect(throws: UnreadableFile.self) { try records("\"a\"b,c\n") }
    }

    @Test("lines are counted through quoted line breaks and blank lines")
    func lines() throws {
        #expect(try Self.records(Array("a\n\"b\nc\"\n\nd\n".utf8)).map(\.line) == [1, 2, 5])
    }

    @Test("bytes that are not UTF-8, and NUL, give no text")
    func hostileBytes() throws {
        let record = try #require(try Self.records([0x61, 0x2C, 0xFF, 0xFE, 0x2C, 0x00, 0x0A]).first)
        #expect(record.text(0) == "a")
        #expect(record.text(1) == nil)
        #expect(record.text(2) == nil)
    }

    @Test("random records survive writing and reading")
    func roundTrip() throws {
        var random = planGenerator()
        let alphabet = ["a", "\"", ",", "\n", "\r", "\r\n", "é", " ", ""]
        for _ in 0..<300 {
            let width = random.number(2...4)
            let wanted = (0..<random.number(1...5)).map { _ in
                (0..<width).map { _ in
                    (0..<random.number(0...6)).map { _ in alphabet.pick(&random) }.joined()
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
            #expect(try records(text, chunkSize: random.number(1...20)) == wanted)
        }
    }
}
