import Foundation
import Models
import Testing

@testable import IngestionDomain

/// The quick way from an item to its stored form must agree with the parser, which is the oracle.
@Suite("Taking events over as they stand")
struct PlainEventTests {
    private let source = SourceID(UUIDv7.derived(at: noon, from: "source"))

    private func envelope(_ kind: TrackingEvent.Kind? = nil, sentAt: Instant? = nil) -> EventParser.Envelope {
        EventParser.Envelope(sourceID: source, receivedAt: noon, sentAt: sentAt, kind: kind)
    }

    private func plain(_ text: String, kind: TrackingEvent.Kind? = nil) -> PlainEvent? {
        EventParser(limits: IngestionLimits()).plain(Array(text.utf8)[...], in: envelope(kind))
    }

    /// Whether the quick way says what the parser says; false where it leaves the item to the parser.
    private func agrees(_ bytes: [UInt8], _ envelope: EventParser.Envelope) throws -> Bool {
        let parser = EventParser(limits: IngestionLimits())
        guard let plain = parser.plain(bytes[...], in: envelope) else { return false }
        let text = String(decoding: bytes, as: UTF8.self)
        let event = try parser.parse(bytes[...], in: envelope)
        let stored = try JSONParser.parse(plain.text)
        #expect(stored == event.json, "\(text)")
        #expect(plain.messageID == event.messageID, "\(text)")
        #expect(plain.subjectKey == event.subjectKey, "\(text)")
        #expect(plain.kind == event.kind, "\(text)")
        #expect(plain.event == (event.kind == .track ? event.name : nil), "\(text)")
        #expect(plain.timestamp == event.timestamp, "\(text)")
        if let question = EventQuestion(plain) { #expect(question == EventQuestion(event), "\(text)") }
        return true
    }

    @Test("what SDKs mostly send is taken over")
    func typical() throws {
        let items = [
            #"{"type":"track","event":"Order Completed","userId":"u1","anonymousId":"a1","messageId":"m1","timestamp":"2026-11-21T11:59:00.5+00:00","sentAt":"2026-11-21T11:59:10Z","properties":{"total":12.50,"products":[{"sku":"x","name":"\"Mug\""}]},"context":{"library":{"name":"analytics-python"}},"integrations":{"All":true}}"#,
            #"{"type":"identify","userId":"u1","messageId":"m2","traits":{"email":"a@b.example","city":"Zürich"}}"#,
            #"{"type":"page","anonymousId":"a","messageId":"m3","name":"Home","properties":{ },"context":null}"#,
            #"{"type":"group","userId":"u","groupId":"g","messageId":"m4","traits":{"plan":"x"}}"#,
            #"{"type":"alias","userId":"u","previousId":"v","messageId":"m5"}"#,
            #" { "type" : "screen" , "userId":"u","messageId":"m6","originalTimestamp":"2026-11-21T11:00:00Z"} "#,
        ]
        for item in items {
            let taken = try agrees(Array(item.utf8), envelope())
            #expect(taken, "\(item)")
        }
        let inPath = try agrees(Array(#"{"event":"E","userId":"u","messageId":"m"}"#.utf8), envelope(.track))
        #expect(inPath)
    }

    @Test(
        "what needs a look is left to the parser",
        arguments: [
            #"{"type":"track","event":"E","userId":"u"}"#,
            #"{"type":"track","event":"E","messageId":"m"}"#,
            #"{"type":"track","userId":"u","messageId":"m"}"#,
            #"{"type":"track","event":"E","userId":7,"messageId":"m"}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","userId":"v"}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","\u0075serId":"v"}"#,
            #"{"type":"track","event":"E","userId":"a\/b","messageId":"m"}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","properties":{"a":"\u0041"}}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","properties":{"a":1e400}}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","properties":{"a":1,}}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","properties":{"a":01}}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","properties":[1]}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","context":{"ip":"1.2.3.4"}}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","context":{"\/":1}}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","timestamp":"yesterday"}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m","timestamp":"1969-12-31T23:59:59Z"}"#,
            #"{"type":"page","userId":"u","messageId":"m","category":"c"}"#,
            #"{"type":"alias","userId":"u","messageId":"m"}"#,
            #"{"type":"group","userId":"u","messageId":"m"}"#,
            #"{"type":"dance","userId":"u","messageId":"m"}"#,
            #"{"type":"track","event":"E","userId":"u","messageId":"m"} x"#,
            "{\"type\":\"track\",\"event\":\"E\",\"userId\":\"u\",\"messageId\":\"m\",\"properties\":{\"a\":\"\u{1}\"}}",
            #"[]"#, "", "{",
        ])
    func left(item: String) { #expect(plain(item) == nil) }

    @Test(
        "whoever says more than ids is taken apart for the consent policy",
        arguments: [
            (#""event":"E","context":{"page":{"path":"/"},"locale":"en"}"#, true),
            (#""event":"E","properties":{"consent":{"a":1},"traits":{"email":"a@b.example"}}"#, true),
            (#""event":"E","traits":{"email":"a@b.example"}"#, false),
            (#""event":"E","context":{"traits":{"email":"a@b.example"}}"#, false),
            (#""event":"E","context":{"externalIds":[]}"#, false),
            (#""event":"E","context":{"consent":{"categoryPreferences":{"a":false}}}"#, false),
            (#""event":"E","context":{"location":{"country":"DE"}}"#, false),
            (#""event":"E","context":{"tr\u0061its":{"email":"a@b.example"}}"#, false),
            (#""event":"Consent Withdrawn","properties":{"purpose":"a"}"#, false),
            (#""event":"Unsubscribed""#, false),
        ])
    func question(members: String, isPlain: Bool) throws {
        let item = Array(#"{"type":"track","userId":"u","anonymousId":"a","messageId":"m",\#(members)}"#.utf8)
        let event = EventParser(limits: IngestionLimits()).plain(item[...], in: envelope())
        #expect((event.flatMap { EventQuestion($0) } != nil) == isPlain)
        _ = try agrees(item, envelope())
    }

    @Test("bytes that are no UTF-8 are left to the parser")
    func notUTF8() {
        var item = Array(
            #"{"type":"track","event":"E","userId":"u","messageId":"m","properties":{"a":"?"}}"#.utf8)
        item[item.count - 4] = 0xFF
        #expect(EventParser(limits: IngestionLimits()).plain(item[...], in: envelope()) == nil)
    }

    @Test("an item with what its batch says about it is left to the parser")
    func batchContext() {
        var envelope = envelope()
        envelope.context = ["locale": "en"]
        let item = Array(#"{"type":"track","event":"E","userId":"u","messageId":"m"}"#.utf8)
        #expect(EventParser(limits: IngestionLimits()).plain(item[...], in: envelope) == nil)
    }

    @Test("random items, whole and damaged, are what the parser makes of them")
    func random() throws {
        let seed =
            ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
            ?? .random(in: 0...9999)
        print("MARTLET_SEED=\(seed)")
        var generator = SeededGenerator(seed: seed)
        var taken = 0
        for _ in 0..<20_000 {
            var item = Array(Self.item(&generator).utf8)
            if Int.random(in: 0..<4, using: &generator) == 0, !item.isEmpty {
                let place = Int.random(in: item.indices, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: item.remove(at: place)
                case 1: item[place] = .random(in: 0...255, using: &generator)
                default:
                    item.insert(
                        Array(#""{}[],:\0e.tn"#.utf8).randomElement(using: &generator) ?? 0, at: place)
                }
            }
            let sentAt: Instant? = Bool.random(using: &generator) ? noon - .seconds(5) : nil
            let kind =
                Int.random(in: 0..<5, using: &generator) == 0
                ? TrackingEvent.Kind.allCases.randomElement(using: &generator) : nil
            if try agrees(item, envelope(kind, sentAt: sentAt)) { taken += 1 }
        }
        #expect(taken > 2_000, "too few were taken over to say anything: \(taken)")
    }

    private static func item(_ generator: inout SeededGenerator) -> String {
        let members: [(String, [String])] = [
            (
                "type",
                [#""track""#, #""page""#, #""identify""#, #""alias""#, #""group""#, #""screen""#, #""x""#]
            ),
            ("event", [#""Product Viewed""#, #""é""#, #""""#, "null", "5"]),
            ("name", [#""Home""#, #""""#, "null"]),
            ("messageId", [#""m1""#, #""m2""#, #""""#, "7"]),
            ("userId", [#""u1""#, #""ü""#, "null", "12", #""a\\b""#]),
            ("anonymousId", [#""a1""#, "null", #""""#]),
            ("previousId", [#""p""#]), ("groupId", [#""g""#]),
            (
                "timestamp",
                [
                    #""2026-11-21T11:59:00Z""#, #""2026-11-21T13:59:00+02:00""#,
                    #""2030-01-01T00:00:00.1234Z""#, "null", #""x""#,
                ]
            ),
            ("originalTimestamp", [#""2026-11-20T11:59:00Z""#]),
            ("sentAt", [#""2026-11-21T11:59:30Z""#, "null"]),
            (
                "properties",
                [
                    "{}", "{ }", #"{"a":1,"b":[1.50,-0,true,null,{"c":"d\n"}]}"#, #"{"a":1e3}"#, "null", "[]",
                    #"{"x":"\u00e9"}"#, #"{"a":1,"a":2}"#,
                ]
            ),
            ("traits", [#"{"email":"a@b"}"#, "null"]),
            ("context", [#"{"page":{"path":"/"}}"#, #"{"ip":"1.2.3.4"}"#, #"{"note":"my ip"}"#, "null"]),
            ("category", [#""c""#]), ("integrations", [#"{"All":true}"#, "1"]), ("writeKey", [#""k""#]),
        ]
        // The first few in every other item, so that many are whole.
        let isWhole = Bool.random(using: &generator)
        var parts: [String] = []
        for (index, (name, values)) in members.shuffled(using: &generator).enumerated() {
            let needed = isWhole && ["type", "event", "messageId", "userId"].contains(name)
            guard needed || (index + Int.random(in: 0..<3, using: &generator)) % 3 == 0 else { continue }
            let value = needed ? values[0] : values.randomElement(using: &generator) ?? "null"
            let space = ["", "", " ", "\n\t"].randomElement(using: &generator) ?? ""
            parts.append("\(space)\"\(name)\"\(space):\(space)\(value)\(space)")
        }
        return "{" + parts.joined(separator: ",") + "}"
    }
}
