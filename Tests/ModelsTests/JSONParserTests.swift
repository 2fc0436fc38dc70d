import Foundation
import Models
import Testing

@Suite("The JSON parser")
struct JSONParserTests {
    @Test("what is written is read back the same, whatever the value")
    func roundTrip() throws {
        var generator = seededGenerator()
        for _ in 0..<3000 {
            let value = JSON.random(depth: 5, using: &generator)
            let text = value.compact
            let read = try JSONParser.parse(text)
            #expect(read == value)
            #expect(read.compact == text)
        }
    }

    @Test("it agrees with Foundation on random documents")
    func agreesWithFoundation() throws {
        var generator = seededGenerator()
        for _ in 0..<300 {
            let text = JSON.object(["v": .random(depth: 4, using: &generator)]).compact
            let theirs = try JSONDecoder().decode(JSON.self, from: Data(text.utf8))
            #expect(try asDoubles(JSONParser.parse(text)) == asDoubles(theirs))
        }
    }

    /// Foundation takes 1.6e17 for an integer; all numbers as Doubles are comparable.
    private func asDoubles(_ value: JSON) -> JSON {
        switch value {
        case .integer(let integer): .double(Double(integer))
        case .array(let elements): .array(elements.map(asDoubles))
        case .object(let members): .object(members.mapValues(asDoubles))
        default: value
        }
    }

    private static let wellFormed: [(String, JSON)] = [
        ("null", JSON.null), (" true ", true), ("false", false), ("0", 0), ("-0", 0), ("-12", -12),
        ("9223372036854775807", .integer(.max)), ("-9223372036854775808", .integer(.min)),
        ("9223372036854775808", .double(9_223_372_036_854_775_808)), ("1.5", 1.5), ("1e2", 100),
        ("1E+2", 100),
        ("25e-1", 2.5), ("1e-999", 0), ("123456789012345678901234567890", .double(1.2345678901234568e29)),
        ("0.1", 0.1), ("5e-324", .double(.leastNonzeroMagnitude)),
        ("1.7976931348623157e308", .double(.greatestFiniteMagnitude)),
        ("\"\"", ""), (#""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00""#, "\"\\/\u{8}\u{C}\n\r\tAé😀"),
        ("[]", []), ("[ 1 , [ ] ]", [1, []]), ("{ }", [:]),
        ("{\"a\":{\"b\":[null]}}", ["a": ["b": [.null]]]),
        ("{\"a\":1,\"a\":2}", ["a": 2]),
    ]

    @Test("every value of the grammar is read", arguments: Self.wellFormed)
    func accepts(text: String, value: JSON) throws {
        #expect(try JSONParser.parse(text) == value)
    }

    private static let malformed: [(String, JSONError.Kind)] = [
        ("", JSONError.Kind.syntax), (" ", .syntax), ("[1,]", .syntax), ("{\"a\":1,}", .syntax),
        ("{,}", .syntax),
        ("[1 2]", .syntax), ("{\"a\" 1}", .syntax), ("{a:1}", .syntax), ("'a'", .syntax), ("01", .syntax),
        ("-", .syntax), ("1.", .syntax), (".5", .syntax), ("+1", .syntax), ("1e", .syntax),
        ("1e+", .syntax),
        ("NaN", .syntax), ("Infinity", .syntax), ("tru", .syntax), ("nul", .syntax), ("[", .syntax),
        ("{\"a\":", .syntax), ("\"abc", .syntax), ("\"\\x\"", .syntax), ("\"\\u12G4\"", .syntax),
        ("\"\\u12", .syntax),
        ("\"a\nb\"", .syntax), ("\"\t\"", .syntax), ("[1]x", .trailingContent), ("1 1", .trailingContent),
        ("{}{}", .trailingContent), ("\u{FEFF}{}", .syntax), ("/**/1", .syntax),
        (#""\u0000""#, .nul), (#"{"\u0000":1}"#, .nul), (#""\ud800""#, .loneSurrogate),
        (#""\udc00""#, .loneSurrogate),
        (#""\ud800\u0041""#, .loneSurrogate), (#""\ud800x""#, .loneSurrogate),
        (#""\ud800\ud800""#, .loneSurrogate),
        ("1e999", .numberRange), ("-1e999", .numberRange),
        (String(repeating: "9", count: 400), .numberRange),
    ]

    @Test("what is no JSON, or cannot be stored, is refused with its kind", arguments: Self.malformed)
    func refuses(text: String, kind: JSONError.Kind) {
        let error = #expect(throws: JSONError.self) { try JSONParser.parse(text) }
        #expect(error?.kind == kind, "\(text)")
    }

    private static let notUTF8: [[UInt8]] = [
        [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF4, 0x90, 0x80, 0x80], [0x80],
    ]

    @Test("bytes that are not UTF-8 are refused", arguments: Self.notUTF8)
    func refusesInvalidUTF8(content: [UInt8]) {
        let plain = [UInt8(ascii: "\"")] + content + [UInt8(ascii: "\"")]
        #expect(throws: JSONError(.invalidUTF8, at: 1, "the string is not UTF-8")) {
            try JSONParser.parse(plain)
        }
        let escaped = Array("\"\\n".utf8) + content + [UInt8(ascii: "\"")]
        #expect(throws: JSONError(.invalidUTF8, at: 1, "the string is not UTF-8")) {
            try JSONParser.parse(escaped)
        }
    }

    @Test("128 levels are read, 129 and 10,000 are refused, and the syntax scan takes a million")
    func depth() throws {
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        _ = try JSONParser.parse(nested(128))
        for depth in [129, 10_000] {
            let error = #expect(throws: JSONError.self) { try JSONParser.parse(nested(depth)) }
            #expect(error?.kind == .tooDeep)
        }
        let objects = Array(String(repeating: "{\"a\":", count: 10_000).utf8)
        #expect(throws: JSONError.self) { try JSONParser.parse(objects) }
        let inner = Array("[7,".utf8) + nested(1_000_000) + Array("]".utf8)
        #expect(try JSONParser.elements(of: inner[...]).map(\.count) == [1, 2_000_000])
    }

    @Test("every prefix of a document is refused, and none crashes")
    func truncated() throws {
        let text = Array(#"{"a":[1.5e3,true,null,"x\u00e9\ud83d\ude00é"],"b":{"c":false}}"#.utf8)
        _ = try JSONParser.parse(text)
        for length in 0..<text.count {
            #expect(throws: JSONError.self) { try JSONParser.parse(text[..<length]) }
            #expect(throws: JSONError.self) { try JSONParser.members(of: text[..<length]) }
        }
    }

    @Test("random damage crashes neither the parser nor the scan, and what is read can be written")
    func mutations() throws {
        var generator = seededGenerator()
        for _ in 0..<5000 {
            var text = Array(JSON.object(["k": .random(depth: 4, using: &generator)]).compact.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<text.count, using: &generator)
                text[index] = UInt8.random(in: .min ... .max, using: &generator)
            }
            let parsed = try? JSONParser.parse(text)
            let members = try? JSONParser.members(of: text[...])
            if let parsed {
                #expect(try JSONParser.parse(parsed.compact) == parsed)
                if parsed.object != nil { #expect(members != nil) }
            }
        }
    }

    @Test("members and elements give the text of each value, duplicates and all, and leave it unread")
    func slices() throws {
        let text = Array(#"xx { "a" : 1 ,"b":[ "\ud800" , 1e999 ], "a": {"c":"}"} } "#.utf8)
        let members = try JSONParser.members(of: text[2...])
        #expect(members.map(\.key) == ["a", "b", "a"])
        #expect(
            members.map { String(decoding: $0.value, as: UTF8.self) } == [
                "1", #"[ "\ud800" , 1e999 ]"#, #"{"c":"}"}"#,
            ])
        let elements = try JSONParser.elements(of: members[1].value)
        #expect(elements.map { String(decoding: $0, as: UTF8.self) } == [#""\ud800""#, "1e999"])
        #expect(try JSONParser.parse(members[2].value) == ["c": "}"])
        #expect(try JSONParser.elements(of: Array("[]".utf8)[...]).isEmpty)
        #expect(try JSONParser.members(of: Array("{}".utf8)[...]).isEmpty)
        for bad in ["", "[]", "1", "{\"a\":1", "{\"a\":1}x", "{\"a\":1,}", "{\"a\":[1,]}", "{\"a\":{\"b\"}}"]
        {
            #expect(throws: JSONError.self) { try JSONParser.members(of: Array(bad.utf8)[...]) }
        }
    }

    @Test("an error says where and what")
    func message() {
        let error = #expect(throws: JSONError.self) { try JSONParser.parse("{\"a\":1,}") }
        #expect(error?.description == "expected a member name, found '}' at byte 7")
    }

    @Test("members that are passed over are missing at their depth alone")
    func passedOver() throws {
        let text =
            #"{"context": 1, "event": {"context": {"a": [1, "}"]}, "properties": {"context": 2}, "b": 3}}"#
        let read = try JSONParser.parse(text, passingOver: .init("context", atDepth: 2))
        #expect(
            read == ["context": 1, "event": ["properties": ["context": 2], "b": 3]])
        #expect(throws: JSONError.self) {
            try JSONParser.parse(
                #"{"event": {"context": {"a": [1}}}"#, passingOver: .init("context", atDepth: 2))
        }
    }
}
