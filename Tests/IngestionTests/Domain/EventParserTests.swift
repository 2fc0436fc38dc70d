import Foundation
import Models
import Testing

@testable import IngestionDomain

let noon = Instant(milliseconds: 1_795_262_400_000)  // 2026-11-21T12:00:00Z

/// Parses one item as a source of its own would send it.
func parse(
    _ text: String, kind: TrackingEvent.Kind? = nil, sentAt: Instant? = nil, context: [String: JSON] = [:],
    mayNameProfile: Bool = false, limits: IngestionLimits = IngestionLimits()
) throws -> TrackingEvent {
    try EventParser(limits: limits).parse(
        Array(text.utf8)[...],
        in: EventParser.Envelope(
            sourceID: SourceID(UUIDv7.derived(at: noon, from: "source")), receivedAt: noon, sentAt: sentAt,
            context: context, kind: kind, mayNameProfile: mayNameProfile))
}

/// The reason why an item is refused; nil when it is accepted.
func refusal(_ text: String, kind: TrackingEvent.Kind? = nil) -> Refusal.Reason? {
    do {
        _ = try parse(text, kind: kind)
        return nil
    } catch let refusal as Refusal {
        return refusal.reason
    } catch {
        Issue.record("\(error)")
        return nil
    }
}

@Suite("Parsing an item")
struct EventParserTests {
    @Test("what an SDK sends becomes an event with everything in its place")
    func track() throws {
        let event = try parse(
            """
            {"type":"track","event":"Order Completed","userId":"u1","anonymousId":"a1","messageId":"m1",
             "timestamp":"2026-11-21T11:59:00.5+00:00","properties":{"total":12.5,"products":[{"sku":"x"}]},
             "context":{"library":{"name":"analytics-python"},"ip":"1.2.3.4"},"integrations":{"All":true}}
            """)
        #expect(event.kind == .track)
        #expect(event.name == "Order Completed")
        #expect(event.userID == "u1")
        #expect(event.anonymousID == "a1")
        #expect(event.messageID == "m1")
        #expect(event.timestamp.rfc3339 == "2026-11-21T11:59:00.500Z")
        #expect(JSON.object(event.properties)[path: "products.0.sku"] == "x")
        #expect(event.context["ip"] == "1.2.3.4")
        #expect(try TrackingEvent(json: event.json) == event)
    }

    @Test("each call takes what is its own")
    func kinds() throws {
        #expect(
            try parse(#"{"userId":"u","traits":{"email":"a@b"}}"#, kind: .identify).traits["email"] == "a@b")
        #expect(try parse(#"{"anonymousId":"a","name":"Home"}"#, kind: .page).name == "Home")
        #expect(
            try parse(#"{"anonymousId":"a","category":"Docs"}"#, kind: .page).properties["category"] == "Docs"
        )
        #expect(try parse(#"{"anonymousId":"a","name":""}"#, kind: .screen).name == nil)
        #expect(try parse(#"{"userId":"u","groupId":7}"#, kind: .group).groupID == "7")
        #expect(try parse(#"{"userId":-5.0}"#, kind: .identify).userID == "-5")
        let alias = try parse(#"{"userId":"u","previousId":"a"}"#, kind: .alias)
        #expect(alias.previousID == "a")
        // The path says which call it is.
        #expect(try parse(#"{"type":"track","userId":"u"}"#, kind: .identify).kind == .identify)
    }

    @Test("ids of other systems may say who it was, those of accounts and encoded ones don't")
    func externalIDs() throws {
        func call(_ ids: String, _ more: String = "") -> String {
            #"{"event":"x"\#(more),"context":{"externalIds":[\#(ids)]}}"#
        }
        let contact = #"{"id":" 123 ","type":"hubspot:contact","collection":"users","encoding":"none"}"#
        let event = try parse(call(contact), kind: .track)
        #expect(event.userID == nil && event.anonymousID == nil)
        #expect(event.subjectKey == "hubspot:contact:123")
        #expect(try parse(call(#"{"id":7,"type":"a:b"}"#), kind: .track).subjectKey == "a:b:7")
        #expect(try parse(call(#"{"id":"u","type":"user_id"}"#), kind: .track).subjectKey == "u")
        #expect(try parse(call(contact, #","userId":"u""#), kind: .track).subjectKey == "u")
        for nobody in [
            "", "7", #"{"id":"1"}"#, #"{"id":"","type":"a:b"}"#, #"{"id":"1","type":"a b"}"#,
            #"{"id":"1","type":"a:b","collection":"accounts"}"#,
            #"{"id":"1","type":"a:b","encoding":"sha256"}"#, #"{"id":"nobody","type":"email"}"#,
        ] {
            #expect(refusal(call(nobody), kind: .track) == .missing, "\(nobody)")
        }
        let both = #"{"context":{"externalIds":[{"id":"1","type":"a:b"},{"id":"2","type":"a:b"}]}}"#
        #expect(try parse(both, kind: .alias).subjectKey == "a:b:1")
        let hints = EventParser(limits: IngestionLimits())
            .hints(of: Array(call(contact, #","timestamp":"never""#).utf8)[...])
        #expect(hints.subjects == ["hubspot:contact:123"])
    }

    @Test("what is missing or of the wrong kind is refused")
    func refusals() {
        #expect(refusal(#"{"event":"x"}"#, kind: .track) == .missing)
        #expect(refusal(#"{"event":"x","userId":"","anonymousId":null}"#, kind: .track) == .missing)
        #expect(refusal(#"{"userId":"u"}"#, kind: .track) == .missing)
        #expect(refusal(#"{"userId":"u","event":""}"#, kind: .track) == .missing)
        #expect(refusal(#"{"userId":"u","event":5}"#, kind: .track) == .invalid)
        #expect(refusal(#"{"userId":"u"}"#, kind: .alias) == .missing)
        let one = #"{"id":"1","type":"hubspot:contact"}"#
        for ids in ["\(one)", "\(one),\(one)", #"\#(one),{"id":"2"}"#] {
            #expect(
                refusal(#"{"context":{"externalIds":[\#(ids)]}}"#, kind: .alias) == .missing, "\(ids)")
        }
        #expect(refusal(#"{"userId":"u"}"#, kind: .group) == .missing)
        #expect(refusal(#"{"userId":"u"}"#) == .missing)
        #expect(refusal(#"{"type":"buy","userId":"u"}"#) == .invalid)
        #expect(refusal(#"{"userId":{"id":1}}"#, kind: .identify) == .invalid)
        #expect(refusal(#"{"userId":1.5}"#, kind: .identify) == .invalid)
        #expect(refusal(#"{"userId":"u","traits":[]}"#, kind: .identify) == .invalid)
        #expect(refusal(#"{"userId":"u","properties":"x"}"#, kind: .identify) == .invalid)
        #expect(refusal("[]", kind: .identify) == .malformed)
        #expect(refusal("5", kind: .identify) == .malformed)
    }

    @Test("what the database cannot hold, or nobody can mean, is refused")
    func hostile() {
        let long = String(repeating: "x", count: 257)
        #expect(refusal("{\"userId\":\"\(long)\"}", kind: .identify) == .invalid)
        #expect(refusal("{\"userId\":\"u\",\"messageId\":\"\(long)\"}", kind: .identify) == .invalid)
        #expect(refusal(#"{"userId":"a\u0000b"}"#, kind: .identify) == .unstorable)
        #expect(refusal(#"{"userId":"u","traits":{"x":"\ud800"}}"#, kind: .identify) == .unstorable)
        #expect(refusal(#"{"userId":"u","traits":{"x":1e999}}"#, kind: .identify) == .unstorable)
        let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        #expect(refusal("{\"userId\":\"u\",\"traits\":{\"x\":\(deep)}}", kind: .identify) == .tooDeep)
        var limits = IngestionLimits()
        limits.itemBytes = 30
        #expect(throws: Refusal.self) {
            try parse(#"{"userId":"u","traits":{"x":"a long one"}}"#, kind: .identify, limits: limits)
        }
        #expect(refusal(#"{"userId":"u","timestamp":"yesterday"}"#, kind: .identify) == .invalid)
        #expect(refusal(#"{"userId":"u","timestamp":1700000000}"#, kind: .identify) == .invalid)
        #expect(refusal(#"{"userId":"u","timestamp":"294277-01-01T00:00:00Z"}"#, kind: .identify) == .invalid)
        #expect(
            refusal(#"{"userId":"u","timestamp":"1969-12-31T23:59:59Z"}"#, kind: .identify) == .absurdTime)
        // Of members with the same name the last counts.
        #expect(throws: Never.self) { try parse(#"{"userId":5.5,"userId":"u"}"#, kind: .identify) }
    }

    @Test("a refusal quotes nothing of the item")
    func discreet() {
        for item in [
            #"{"userId":{"secret":1}}"#, #"{"userId":"u","timestamp":"secret"}"#,
            #"{"type":"secret","userId":"u"}"#,
            #"{"userId":"u","traits":"secret"}"#,
        ] {
            do {
                _ = try parse(item)
                Issue.record("accepted")
            } catch {
                #expect(!"\(error)".contains("secret"))
            }
        }
    }

    @Test("the sender's clock is corrected, and nothing lies in the future")
    func skew() throws {
        func time(_ original: String?, sentAt: String?) throws -> String {
            let item = original.map { #"{"userId":"u","timestamp":"\#($0)"}"# } ?? #"{"userId":"u"}"#
            let event = try parse(item, kind: .identify, sentAt: sentAt.flatMap { Instant(rfc3339: $0) })
            #expect(event.originalTimestamp == original.flatMap { Instant(rfc3339: $0) })
            return event.timestamp.rfc3339
        }
        // A clock that is an hour and ten years ahead; the event was five minutes before it was sent.
        #expect(
            try time("2036-11-21T12:55:00Z", sentAt: "2036-11-21T13:00:00Z") == "2026-11-21T11:55:00.000Z")
        #expect(
            try time("1999-01-01T00:00:00Z", sentAt: "1999-01-01T00:00:10Z") == "2026-11-21T11:59:50.000Z")
        #expect(try time("2009-12-01T08:26:00Z", sentAt: nil) == "2009-12-01T08:26:00.000Z")
        #expect(try time("9999-12-31T23:59:59Z", sentAt: nil) == "2026-11-21T12:00:00.000Z")
        // Sent before it happened.
        #expect(
            try time("2026-11-21T11:00:00Z", sentAt: "2026-11-21T10:00:00Z") == "2026-11-21T12:00:00.000Z")
        #expect(try time(nil, sentAt: "2026-11-21T10:00:00Z") == "2026-11-21T12:00:00.000Z")
        #expect(
            refusal(#"{"userId":"u","timestamp":"0001-01-01T00:00:00Z"}"#, kind: .identify) == .absurdTime)
        // The item's own sentAt goes before the batch's, and originalTimestamp before timestamp.
        let event = try parse(
            """
            {"userId":"u","timestamp":"2026-01-01T00:00:00Z","originalTimestamp":"2026-11-21T11:00:00Z",
             "sentAt":"2026-11-21T11:30:00Z"}
            """, kind: .identify, sentAt: noon)
        #expect(event.timestamp.rfc3339 == "2026-11-21T11:30:00.000Z")
    }

    @Test("an item without messageId gets one: the same for the same bytes with a time, else a new one")
    func derivedIDs() throws {
        let timed = #"{"userId":"u","timestamp":"2026-11-21T11:00:00Z"}"#
        #expect(try parse(timed, kind: .identify).messageID == parse(timed, kind: .identify).messageID)
        #expect(
            try parse(timed, kind: .identify).messageID
                != parse(timed.replacing("\"u\"", with: "\"v\""), kind: .identify).messageID)
        let untimed = #"{"userId":"u"}"#
        #expect(try parse(untimed, kind: .identify).messageID != parse(untimed, kind: .identify).messageID)
    }

    @Test("a profile may be named by services alone, and the batch's context fills gaps")
    func envelope() throws {
        let id = ProfileID(UUIDv7.derived(at: noon, from: "p"))
        let item = #"{"userId":"u","profileId":"\#(id)","context":{"a":1}}"#
        #expect(try parse(item, kind: .identify).profileID == nil)
        let event = try parse(item, kind: .identify, context: ["a": 2, "b": 3], mayNameProfile: true)
        #expect(event.profileID == id)
        #expect(event.context == ["a": 1, "b": 3])
    }
}

@Suite("Taking a body apart")
struct SubmissionTests {
    private func submission(_ text: String, _ call: CollectingCall = .batch) throws -> Submission {
        try Submission(body: Array(text.utf8)[...], call: call, limits: IngestionLimits())
    }

    @Test("a batch is its items, whatever they hold")
    func batch() throws {
        let deep = String(repeating: "[", count: 10_000) + String(repeating: "]", count: 10_000)
        let body = try submission(
            """
            { "sentAt" : "2026-11-21T12:00:00Z", "writeKey":"k",
              "batch" : [ {"a":"\\u0000"}, 5 , \(deep) , {"b":1} ], "context":{"x":1} }
            """)
        #expect(body.items.count == 4)
        #expect(body.writeKey == "k")
        #expect(body.sentAt == noon)
        #expect(body.context == ["x": 1])
        #expect(try submission(#"{"batch":[]}"#).items.isEmpty)
        #expect(try submission(#"{"batch":5,"batch":[1]}"#).items.count == 1)
        #expect(
            try submission(#"{"batch":[1],"sentAt":{"x":1},"writeKey":"\u0000","context":[]}"#).sentAt == nil)
    }

    @Test(
        "a body that is broken as a whole is refused as a whole",
        arguments: [
            "", " ", "{", "[]", "null", #"{"batch":[1,]}"#, #"{"batch":[1]"#, #"{"batch":[1]} x"#,
            #"{"batch":{}}"#,
            #"{"batch":null}"#, "{}", #"{"batch":[1],}"#, #"{'batch':[]}"#, "\u{FEFF}{\"batch\":[]}",
        ])
    func broken(text: String) {
        #expect(throws: Submission.Problem.self) { try submission(text) }
    }

    @Test("a batch has its limit")
    func limit() {
        let items = Array(repeating: "1", count: 2501).joined(separator: ",")
        #expect(throws: Submission.Problem.tooManyItems(limit: 2500)) {
            try submission("{\"batch\":[\(items)]}")
        }
    }

    @Test("random damage to a batch never crashes, and never changes the neighbours' verdicts")
    func damage() throws {
        let seed =
            ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap(UInt64.init)
            ?? UInt64.random(in: 0...999_999)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let good =
            #"{"type":"track","event":"é \ud83d\ude00","userId":"u","messageId":"m","properties":{"a":[1,2.5e3,null,"x"]}}"#
        for _ in 0..<3000 {
            var item = Array(good.utf8)
            for _ in 0...Int.random(in: 0..<4, using: &random) {
                let index = Int.random(in: 0..<item.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: item[index] = UInt8.random(in: 0...255, using: &random)
                case 1: item.remove(at: index)
                default: item.insert(UInt8.random(in: 0...255, using: &random), at: index)
                }
            }
            let body = Array("{\"batch\":[\(good),".utf8) + item + Array(",\(good)]}".utf8)
            guard let submission = try? Submission(body: body[...], call: .batch, limits: IngestionLimits())
            else {
                continue  // the damage reached the batch itself
            }
            let first = try #require(submission.items.first)
            let last = try #require(submission.items.last)
            #expect(throws: Never.self) { try parse(String(decoding: first, as: UTF8.self)) }
            #expect(throws: Never.self) { try parse(String(decoding: last, as: UTF8.self)) }
            for item in submission.items {
                let event = try? EventParser(limits: IngestionLimits()).parse(
                    item,
                    in: EventParser.Envelope(
                        sourceID: SourceID(UUIDv7.derived(at: noon, from: "s")), receivedAt: noon))
                if let event { #expect(try TrackingEvent(json: event.json) == event) }
            }
        }
    }
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
