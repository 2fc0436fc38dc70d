import Foundation
import Models
import Testing

@Suite("The bodies of the streams")
struct VocabularyTests {
    let at = Instant(milliseconds: 1_700_000_000_000)
    let profile = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 1), from: "profile"))
    let other = ProfileID(UUIDv7.derived(at: Instant(milliseconds: 2), from: "other"))
    let source = SourceID(UUIDv7.derived(at: Instant(milliseconds: 3), from: "source"))

    var event: TrackingEvent {
        TrackingEvent(
            messageID: "m1", kind: .track, name: "Order Completed", userID: "u", anonymousID: "a",
            previousID: "p",
            groupID: "g", profileID: profile, timestamp: at, originalTimestamp: at, sentAt: at,
            receivedAt: at,
            sourceID: source, properties: ["total": 12.5], traits: ["plan": "pro"], context: ["ip": "::1"])
    }

    @Test("an event survives the journey through a stream")
    func trackingEvent() throws {
        #expect(try TrackingEvent(json: JSONParser.parse(event.json.compact)) == event)
        #expect(event.json["event"]?.string == "Order Completed")
        let bare = TrackingEvent(messageID: "m", kind: .page, timestamp: at, receivedAt: at, sourceID: source)
        #expect(try TrackingEvent(json: bare.json) == bare)
        #expect(bare.json.object?.count == 5)
    }

    private static let spoiltMembers: [(String, JSON)] = [
        ("messageId", JSON.integer(1)), ("type", "purchase"), ("timestamp", "294277-01-01T00:00:00Z"),
        ("sourceId", "x"), ("properties", []), ("userId", 5), ("profileId", "nobody"),
    ]

    @Test("a spoilt event is refused with the path", arguments: Self.spoiltMembers)
    func spoilt(key: String, value: JSON) throws {
        var members = try #require(event.json.object)
        members[key] = value
        let problem = #expect(throws: DecodingProblem.self) { try TrackingEvent(json: .object(members)) }
        #expect(problem?.path == key)
    }

    @Test("every profile fact survives its JSON")
    func profileFacts() throws {
        let merge = MergeID(UUIDv7.derived(at: at, from: "merge"))
        let facts: [ProfileFact] = [
            .event(profileID: profile, arrivedUnder: other, event: event),
            .merge(profileID: profile, merged: other, mergeID: merge, at: at, cause: ["messageId": "m1"]),
            .mergedInto(profileID: other, survivor: profile, mergeID: merge, at: at),
            .erased(profileID: profile, at: at),
        ]
        for fact in facts {
            #expect(try ProfileFact(json: JSONParser.parse(fact.json.compact)) == fact)
            #expect(fact.at == at)
        }
        let problem = #expect(throws: DecodingProblem.self) {
            try ProfileFact(json: [
                "kind": "event", "profileId": .string(profile.description),
                "arrivedUnder": .string(other.description), "event": ["messageId": "m"],
            ])
        }
        #expect(problem?.path == "event.type")
    }

    @Test("the other bodies survive their JSON")
    func bodies() throws {
        let membership = MembershipChange(
            profileID: profile, segment: "lapsed", change: .entered, at: at, version: 3, reason: .time,
            evidence: ["events": []])
        #expect(try MembershipChange(json: membership.json) == membership)
        let history = MembershipHistory(
            profileID: profile, mergeID: MergeID(other.uuid), since: at, versions: ["lapsed": 3],
            changes: [membership])
        let stage = StageChange(
            profileID: profile, stage: "decision", previous: nil, at: at, version: 2, reason: .event,
            evidence: ["conditions": []])
        var left = stage
        (left.stage, left.previous) = (nil, "decision")
        for fact: MembershipFact in [
            .changed(membership), .unmerged(history), .stage(stage), .stage(left),
            .unknown(
                profile, body: ["kind": "later", "profileId": .string(profile.description), "what": [1]]),
        ] {
            #expect(try MembershipFact(json: fact.json) == fact)
        }
        let intent = SendIntent(
            intentID: IntentID(profile.uuid), journey: "abandoned-cart", journeyVersion: 1,
            instanceID: InstanceID(other.uuid), step: "reminder", profileID: profile, template: "t",
            purpose: "marketing", variables: ["cart": [1]], at: at)
        #expect(try SendIntent(json: intent.json) == intent)
        let merge = MergeID(other.uuid)
        for fact: IntentFact in [
            .wanted(intent), .unmerged(merge, at: at),
            .corrected(IntentCorrection(.restated, intent.intentID, of: profile, at: at, mergeID: merge)),
            .corrected(IntentCorrection(.renewed, intent.intentID, of: profile, at: at, mergeID: nil)),
        ] {
            #expect(try IntentFact(json: fact.json) == fact)
        }
        let consent = ConsentChange(
            profileID: profile, purpose: "marketing", state: .withdrawn, at: at, source: "unsubscribe",
            ledgerEntry: "7")
        #expect(try ConsentChange(json: consent.json) == consent)
        let request = PrivacyRequest(
            id: PrivacyRequestID(other.uuid), type: .erasure, profileID: profile,
            profileIDs: [profile, other],
            requestedAt: at)
        #expect(try PrivacyRequest(json: request.json) == request)
    }

    @Test("money is exact and keeps its decimal places")
    func money() throws {
        let price = try Money(json: ["amount": "12.50", "currency": "GBP"])
        #expect(price.amountText == "12.50")
        #expect(price.json == ["amount": "12.50", "currency": "GBP"])
        #expect(Money(amount: 1200, currency: "JPY").amountText == "1200")
        #expect(JSON.double(0.1).decimal.map { $0 * 3 } == Decimal(plain: "0.3"))
        #expect(JSON.string("-1234567890.12").decimal?.description == "-1234567890.12")
        for bad in ["", ".5", "5.", "1,2", "1e3", "abc", "--1", "1.2.3", "-"] {
            #expect(Decimal(plain: bad) == nil, "\(bad)")
        }
        #expect(throws: DecodingProblem.self) { try Money(json: ["amount": "1", "currency": "gbp"]) }
    }
}

@Suite("Effective traits")
struct EffectiveTraitsTests {
    @Test("the latest event wins in whatever order, however often, the events arrive")
    func order() throws {
        var generator = seededGenerator()
        for _ in 0..<200 {
            let writes = (0..<12).map { index in
                (
                    traits: ["t\(index % 3)": index % 5 == 0 ? JSON.null : .integer(Int64(index))],
                    at: Instant(milliseconds: Int64.random(in: 0...4, using: &generator)),
                    message: "m\(index)"
                )
            }
            var inOrder = EffectiveTraits()
            for write in writes.sorted(by: { ($0.at, $0.message) < ($1.at, $1.message) }) {
                inOrder.apply(write.traits, at: write.at, messageID: write.message)
            }
            var left = EffectiveTraits()
            var right = EffectiveTraits()
            for write in (writes + writes).shuffled(using: &generator) {
                if Bool.random(using: &generator) {
                    left.apply(write.traits, at: write.at, messageID: write.message)
                } else {
                    right.apply(write.traits, at: write.at, messageID: write.message)
                }
            }
            for write in writes { left.apply(write.traits, at: write.at, messageID: write.message) }
            left.merge(right)
            #expect(left == inOrder)
            #expect(try EffectiveTraits(json: JSONParser.parse(left.json.compact)) == left)
        }
    }

    @Test("null removes a trait, and an older value does not bring it back")
    func removal() {
        var traits = EffectiveTraits()
        traits.apply(["plan": "pro", "city": "Bern"], at: Instant(milliseconds: 1), messageID: "a")
        traits.apply(["plan": .null], at: Instant(milliseconds: 3), messageID: "b")
        traits.apply(["plan": "free"], at: Instant(milliseconds: 2), messageID: "c")
        #expect(traits.values == ["city": "Bern"])
        #expect(traits["plan"] == nil)
    }
}
