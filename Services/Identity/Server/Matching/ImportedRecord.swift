import FoundationEssentials
import IdentityDomain
import Models
import ProfileStore

/// What a caller has on somebody, brought to be matched.
struct ImportedRecord: Sendable {
    /// What its id says of whoever it is of.
    let identifier: Identifier
    let traits: [String: JSON]
    /// When it was true; when it was brought where absent.
    let occurredAt: Instant?

    private static let members: Set<String> = ["id", "traits", "occurredAt"]

    /// The JSON that is kept, sealed.
    var body: JSON {
        var members: [String: JSON] = ["traits": .object(traits)]
        members["occurredAt"] = occurredAt.map { .string($0.rfc3339) }
        return .object(members)
    }

    init(identifier: Identifier, body: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(body)
        self.identifier = identifier
        traits = try fields.object("traits")
        occurredAt = try fields.optionalInstant("occurredAt")
    }

    /// Reads one out of the text of a call. Whatever is wrong with it is its own.
    init(
        _ json: JSON, _ identifier: Identifier, _ mapping: MatchMapping, _ policy: IdentityPolicy,
        now: Instant
    ) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        // What is wrong is kept, and a name may tell as much as a value.
        guard fields.members.keys.allSatisfy(Self.members.contains) else {
            throw DecodingProblem(
                path: "", expected: "id, traits and occurredAt",
                message: "a record has id, traits and occurredAt, and nothing beside them")
        }
        self.identifier = identifier
        // What an export has no value for says nothing, least of all that there is none.
        traits = try fields.object("traits").filter { !$0.value.isNull }
        try ProfileUpsert.check(traits: traits, at: "traits")
        occurredAt = try fields.optionalInstant("occurredAt")
        if let occurredAt, occurredAt > now + ProfileUpsert.leeway || occurredAt < Instant(milliseconds: 0) {
            throw fields.problem("occurredAt", expected: "a time between 1970 and now")
        }
        guard values(mapping, policy) != nil else {
            throw fields.problem(
                "traits",
                expected: "an object with something to compare: a name, a date of birth, an address, …")
        }
    }

    static func identifier(
        of json: JSON, _ kind: Identifier.Kind, _ policy: IdentityPolicy
    ) throws(DecodingProblem) -> Identifier {
        let fields = try JSONFields(json)
        let id: String
        if let number = fields["id"]?.integer { id = String(number) } else { id = try fields.string("id") }
        do throws(IdentifierRefusal) {
            return try policy.identifier(kind, id)
        } catch {
            throw fields.problem(
                "id", expected: "a \(kind.rawValue) by the identity policy (\(error.reason))")
        }
    }

    /// What there is to compare; nil when there is nothing.
    func values(_ mapping: MatchMapping, _ policy: IdentityPolicy) -> [String?]? {
        mapping.values(traits: traits, identifiers: MatchIdentifiers(identifiers(policy)))
    }

    // MARK: What it says of somebody

    /// Who brought it, and what its messages are named after.
    struct Origin: Sendable {
        let jobID: MatchingJobID
        let row: Int
        let broughtAt: Instant
        let sourceID: SourceID?
    }

    /// Every identifier in it, its own first.
    func identifiers(_ policy: IdentityPolicy) -> [Identifier] {
        let said = identifyingTraits(policy).flatMap { self.said($0, policy) }
        var identifiers = [identifier]
        for other in said where !identifiers.contains(other) { identifiers.append(other) }
        return identifiers
    }

    /// What people are known by among the traits of a record without an id.
    static func identifiers(in traits: [String: JSON], _ policy: IdentityPolicy) -> [Identifier] {
        let event = TrackingEvent(
            messageID: "", kind: .identify, timestamp: .distantPast, receivedAt: .distantPast,
            sourceID: .profileAPI, traits: traits)
        return Observation(event, policy: policy).identifiers
    }

    /// The call that makes a profile of it, with its id and nothing else: whoever follows the facts hears of its traits when
    /// they are those of the person that it is merged with.
    func introduction(_ origin: Origin, at now: Instant) -> TrackingEvent {
        event([:], origin, at: now, named: Self.messageID(of: origin))
    }

    /// The call that tells the rest of it. An address, a number or whatever else people are known by that is somebody else's
    /// stays with whom it is.
    func particulars(
        _ origin: Origin, _ policy: IdentityPolicy, at now: Instant,
        leavingOut isElsewhere: (Identifier) -> Bool
    ) -> TrackingEvent {
        let left = identifyingTraits(policy).filter { name in
            // It must lead to whom it is of.
            let said = said(name, policy)
            return !said.contains(identifier) || said.contains(where: isElsewhere)
        }
        return event(
            traits.filter { !left.contains($0.key) }, origin, at: now,
            named: Self.messageID(of: origin) + ":traits")
    }

    private func identifyingTraits(_ policy: IdentityPolicy) -> [String] {
        policy.identifyingTraits.filter { traits[$0] != nil }.sorted { $0.precedesInUTF8($1) }
    }

    /// What is read out of one trait beside the id.
    private func said(_ trait: String, _ policy: IdentityPolicy) -> [Identifier] {
        let origin = Origin(
            jobID: MatchingJobID(UUID(high: 0, low: 0)), row: 0, broughtAt: .distantPast, sourceID: nil)
        let event = event(traits.filter { $0.key == trait }, origin, at: .distantPast, named: "")
        return Observation(event, policy: policy).allIdentifiers
    }

    private func event(
        _ traits: [String: JSON], _ origin: Origin, at now: Instant, named messageID: String
    ) -> TrackingEvent {
        ProfileUpsert(
            identifiers: [identifier], traits: traits, occurredAt: occurredAt ?? origin.broughtAt,
            sourceID: origin.sourceID
        ).event(messageID: messageID, now: now, library: "martlet-matching")
    }

    private static func messageID(of origin: Origin) -> String {
        "matching:\(origin.jobID.description):\(origin.row)"
    }

    // MARK: Where it is kept

    /// Hexadecimal digits.
    static func text(of hash: Data) -> String {
        hash.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }

    /// The same wherever the id of the record is kept.
    static func namePlace(of place: IdentifierPlace) -> String {
        "identity.matching_record.name \(place.kind.rawValue) \(text(of: place.hash))"
    }

    static func bodyPlace(_ row: Int, of job: MatchingJobID) -> String {
        "identity.matching_record.body \(job.description) \(row)"
    }

    /// The beginning of a keyed hash.
    static func mark(of hash: Data) -> Int64 {
        Int64(bitPattern: hash.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
}
