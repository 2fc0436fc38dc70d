import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// What is right of somebody, in place of what is wrong (GDPR article 16).
///
/// Everything is said of one profile that the caller names, so that nobody is made or joined by it: an identifier of somebody
/// else is refused, and so is a profile that was erased.
struct Corrections {
    let resolution: Resolution
    let reading: ProfileReading
    private var people: PeopleStore { PeopleStore() }

    /// An identifier that is right.
    struct Correction: Hashable, Sendable {
        let identifier: Identifier
        /// The one that is wrong, of the same type.
        let replaced: Identifier?

        init(identifier: Identifier, replaced: Identifier?) {
            self.identifier = identifier
            self.replaced = replaced
        }
    }

    /// What a caller says is right.
    struct Order: Sendable {
        let corrections: [Correction]
        /// A null removes a trait.
        let traits: [String: JSON]

        init(json: JSON, now: Instant) throws {
            let fields = try JSONFields(json)
            try fields.allow(["identifiers", "traits"])
            traits = try fields.objectIfPresent("traits")
            try ProfileUpsert.check(traits: traits, at: "traits")
            var corrections: [Correction] = []
            if fields["identifiers"] != nil {
                for (index, element) in try fields.array("identifiers").enumerated() {
                    corrections.append(try Correction(json: element, at: "identifiers.\(index)"))
                }
            }
            guard !traits.isEmpty || !corrections.isEmpty,
                corrections.count <= ProfileUpsert.mostIdentifiers,
                Set(corrections.map(\.identifier.kind)).count == corrections.count
            else {
                throw fields.problem(
                    "identifiers",
                    expected:
                        "at most \(ProfileUpsert.mostIdentifiers) identifiers, one of each type, or traits instead"
                )
            }
            self.corrections = corrections
        }

        private init(_ corrections: [Correction], _ traits: [String: JSON]) {
            self.corrections = corrections
            self.traits = traits
        }

        /// With the identifiers as the policy writes them. One that is wrong may be none by the policy of today.
        func read(by policy: IdentityPolicy) throws -> Order {
            Order(
                try corrections.enumerated().map { index, correction in
                    Correction(
                        identifier: try policy.identifier(
                            json: correction.identifier.json, at: "identifiers.\(index)"),
                        replaced: correction.replaced.map {
                            (try? policy.identifier($0.kind, $0.value)) ?? $0
                        })
                }, traits)
        }
    }

    /// What became of it.
    struct Done: Sendable {
        let profileID: ProfileID
        /// How many identifiers were taken away.
        let detached: Int
        let isChanged: Bool

        var json: JSON {
            [
                "profileId": .string(profileID.description), "detached": .integer(Int64(detached)),
                "verdict": isChanged ? "updated" : "unchanged",
            ]
        }
    }

    /// Does it, or nothing of it. Said again it changes nothing.
    func run(
        _ order: Order, of id: ProfileID, messageID: String, traceparent: String?, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws -> Done {
        let policy = try await resolution.policies.current(in: transaction)
        let order = try order.read(by: policy)
        // With the person locked nobody erases or joins them in between.
        _ = try await ResolutionStore(key: reading.store.key).lockProfiles([id], in: transaction)
        guard let before = try await reading.view(of: id, in: transaction) else { throw Problem.noProfile }
        try await check(order, of: before, in: transaction)
        let wrong = order.corrections.compactMap(\.replaced).filter { replaced in
            before.identifiers.contains { $0.identifier == replaced }
        }
        try await people.detach(wrong, from: before, key: reading.store.key, in: transaction)
        try await CorrectedNameStore(key: reading.store.key)
            .keep(wrong, takenFrom: before.person.profileID, at: now, in: transaction)
        let traits = Self.traits(order, wrong, of: before, policy)
        let held = Set(before.identifiers.map(\.identifier))
        let isNew =
            !wrong.isEmpty || order.corrections.contains { !held.contains($0.identifier) }
            || !traits.allSatisfy { name, value in
                before.values[name] ?? .null == Self.effective(value, of: name, by: policy)
            }
        if isNew {
            try await say(
                order, without: wrong, traits, of: before, messageID: messageID, policy: policy,
                traceparent: traceparent, at: now, in: transaction)
        }
        return Done(
            profileID: before.person.profileID, detached: wrong.count, isChanged: isNew)
    }

    /// Whether what is right is free or the person's, and what is wrong the person's.
    private func check(
        _ order: Order, of view: ProfileView, in transaction: PostgresTransaction
    ) async throws {
        let owners = try await reading.store.canonicalIDs(
            of: Set(order.corrections.map(\.identifier)), in: transaction)
        let held = Set(view.identifiers.map(\.identifier))
        for correction in order.corrections {
            if let owner = owners[correction.identifier], owner != view.person.profileID {
                throw Problem.conflict(
                    "an identifier that is said to be right is somebody else's; merge the two if they are one person",
                    type: "identifier-taken")
            }
            if let replaced = correction.replaced, !held.contains(replaced),
                !held.contains(correction.identifier)
            {
                throw Problem.conflict(
                    "an identifier that is said to be wrong is not this person's; read the profile again",
                    type: "identifier-not-held")
            }
        }
    }

    /// The traits that change: also those that repeat what is wrong.
    private static func traits(
        _ order: Order, _ wrong: [Identifier], of view: ProfileView, _ policy: IdentityPolicy
    ) -> [String: JSON] {
        var traits = order.traits
        for correction in order.corrections {
            // An address or a number is one wherever it stands; `42` may be anything.
            guard let replaced = correction.replaced, wrong.contains(replaced),
                [.email, .phone].contains(replaced.kind)
            else { continue }
            for (name, value) in view.values where traits[name] == nil {
                if let text = value.string, (try? policy.identifier(replaced.kind, text)) == replaced {
                    traits[name] = .string(correction.identifier.value)
                }
            }
        }
        return traits
    }

    /// What a trait comes to of which nothing else was said.
    private static func effective(_ value: JSON, of name: String, by policy: IdentityPolicy) -> JSON {
        let stamp = EffectiveTraits.Stamp(at: .distantPast, messageID: "")
        let rule = policy.rule(of: name, from: .profileAPI)
        return EffectiveTraits.Entry(value: value, stamp: stamp, from: .profileAPI, by: rule).value
    }

    /// The time of the last word on any of these traits, whichever of them holds.
    private static func lastSaid(_ names: some Sequence<String>, of view: ProfileView) -> Instant? {
        names.compactMap { view.traits[$0]?.entry }.flatMap { entry in
            [entry.stamp.at] + (entry.history?.claims.map(\.last.at) ?? [])
        }.max()
    }

    /// The fact on the timeline, as if the person had been identified.
    ///
    /// It is written to the profile that they are by now, whichever of theirs was named. What is said of a trait whose rule is
    /// not the latest would be one word among others, and the wrong one might hold on: they are all taken back first.
    private func say(
        _ order: Order, without wrong: [Identifier], _ traits: [String: JSON], of view: ProfileView,
        messageID: String,
        policy: IdentityPolicy, traceparent: String?, at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        var event = ProfileUpsert(
            identifiers: order.corrections.map(\.identifier), traits: traits, occurredAt: nil, sourceID: nil
        ).event(messageID: messageID, now: now)
        let id = view.person.profileID
        // Whoever corrects a value has seen it: theirs is the later one, also within a millisecond.
        let seen = Self.lastSaid(traits.keys, of: view)
        if let seen, seen >= now, seen < now + ProfileUpsert.leeway {
            event.timestamp = seen + .milliseconds(1)
        }
        var said: [TrackingEvent] = []
        let ruled = policy.ruledTraits(of: [event]).filter { view.traits[$0] != nil && traits[$0] != .null }
        if !ruled.isEmpty {
            var retraction = ProfileUpsert(
                identifiers: [], traits: Dictionary(uniqueKeysWithValues: ruled.map { ($0, JSON.null) }),
                occurredAt: nil, sourceID: nil
            ).event(messageID: "\(messageID)-retracted", now: now)
            retraction.timestamp = event.timestamp
            retraction.profileID = id
            event.timestamp = event.timestamp + .milliseconds(1)
            said.append(retraction)
        }
        var observation = Observation(event, policy: policy)
        guard Set(observation.allIdentifiers) == Set(order.corrections.map(\.identifier)) else {
            throw Problem.badRequest(
                "an identifier is none by the identity policy, or a trait names somebody by another one than `identifiers`",
                type: "identifier-refused")
        }
        if observation.allIdentifiers.isEmpty {
            event.profileID = id
            observation = Observation(event, policy: policy)
        }
        observation.correcting = id
        observation.replacing = Set(wrong.map(\.kind))
        var (resolver, keys) = try await resolution.resolver(
            for: said.map { Observation($0, policy: policy) } + [observation], of: said + [event],
            policy: policy,
            profiles: [id], in: transaction)
        for retraction in said { try resolver.resolve(retraction) }
        guard let placement = try resolver.resolve(event, as: observation),
            placement.profileID == id
        else { throw Problem.noProfile }
        // Somebody may have come to an identifier since it was seen to be free; the next attempt sees them.
        guard resolver.changes.merges.isEmpty, resolver.changes.created.isEmpty else {
            throw Problem.unavailable("an identifier was taken at the same time; try again")
        }
        guard resolver.withheld.isEmpty else {
            throw Problem.conflict(
                "the identity policy lets one person hold no more identifiers of this type; say which one is replaced",
                type: "identifier-limit")
        }
        try await resolution.write(
            resolver, traceparents: resolver.facts.map { _ in traceparent }, having: keys, at: now,
            in: transaction)
    }
}

extension Corrections.Correction {
    init(json: JSON, at path: String) throws(DecodingProblem) {
        let fields = try JSONFields(json, at: path)
        try fields.allow(["type", "value", "replaces"])
        identifier = try Identifier(
            json: ["type": fields["type"] ?? .null, "value": fields["value"] ?? .null], at: path)
        guard fields["replaces"] != nil else {
            replaced = nil
            return
        }
        let raw = try fields.string("replaces")
        guard raw.utf8.count <= Identifier.longestValue, let wrong = Identifier(identifier.kind, raw),
            wrong != identifier
        else {
            throw fields.problem("replaces", expected: "another identifier of the same type")
        }
        replaced = wrong
    }
}
