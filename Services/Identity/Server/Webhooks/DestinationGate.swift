import ConsentDomain
import FoundationEssentials
import IdentityDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Why an endpoint is told nothing of somebody, or by which consents it is: evidence, without anything personal in it.
enum DestinationPermission: Sendable {
    /// The delivery as it was when it was permitted, and the traits that go with it.
    case permitted(ClaimedDelivery, WebhookSender.ReadTraits)
    case withheld(JSON)
    /// It was given up meanwhile, or somebody else has taken it over.
    case lost
}

/// Whether a destination may be told of a person: whoever keeps the policy says which purposes it needs, by its id.
///
/// It is asked right before an attempt, in a transaction that shares the shards of the person with whoever writes what
/// they decide (`DecisionLock`), and what is found is written there: a withdrawal is seen, or was acknowledged after the
/// attempt had begun.
struct DestinationGate: Sendable {
    private let reading: ProfileReading
    private var profiles: ProfileStore { reading.store }
    private let pool: PostgresPool
    private let clock: ServiceClock
    private let policies = ConsentPolicyReader<ConsentPolicy> { try ConsentPolicy(json: $0) }
    private let deliveries = DeliveryStore()

    /// How often it is read anew who somebody is, where that changed before their shards were held.
    private static let mostReadings = 5

    init(reading: ProfileReading, clock: ServiceClock) {
        (self.reading, self.pool, self.clock) = (reading, reading.pool, clock)
    }

    /// What may become of a delivery; nil where nobody has to be asked. What is withheld is recorded as that.
    func ask(_ delivery: ClaimedDelivery, at now: Instant) async throws -> DestinationPermission? {
        // Of a test nobody is told; that somebody was erased has to be told (GDPR article 19).
        guard delivery.type != .test, delivery.type != .erased, delivery.profileID != nil else { return nil }
        let time = try await clock.now()
        for _ in 0..<Self.mostReadings {
            let answer: Answer = try await pool.transaction { transaction in
                try await ask(delivery, time: time, at: now, in: transaction)
            }
            if case .decided(let permission) = answer { return permission }
        }
        throw PostgresError.decoding(column: "canonical_id", message: "changes all the time")
    }

    private enum Answer: Sendable {
        case decided(DestinationPermission?)
        /// They are more than the profiles that were held.
        case outdated
    }

    private func ask(
        _ delivery: ClaimedDelivery, time: Instant, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Answer {
        guard let current = try await policies.recentIfAny(.zero, in: transaction) else {
            return .decided(nil)
        }
        let destination = delivery.endpointID.description
        let requirement = current.policy.requirement(of: .destinations, destination)
        let mayBeRestricted = try await profiles.isAnybodyRestricted(in: transaction)
        guard requirement != nil || mayBeRestricted else { return .decided(nil) }
        let asked = [delivery.profileID, delivery.otherID].compactMap { $0 }
        let held = Set(try await profiles.people(asked, in: transaction).values.flatMap(\.memberIDs) + asked)
        // Not for as long as a lease lasts: whoever decides about many at once would have deliveries made by two, and hold up
        // everything else that needs a connection. It is claimed and asked again.
        try await transaction.execute("SET LOCAL lock_timeout = '3s'")
        try await DecisionLock.take(for: .acting, of: held, in: transaction)
        let people = Set(try await profiles.people(asked, in: transaction).values)
        guard held.isSuperset(of: people.flatMap(\.memberIDs)) else { return .outdated }
        let version = JSON.integer(current.version)
        if try await !profiles.restricted(held.sorted(), in: transaction).isEmpty {
            return .decided(
                try await withhold(
                    delivery, ["reason": "restricted", "policyVersion": version], at: now, in: transaction))
        }
        guard let requirement else { return .decided(try await permit(delivery, in: transaction)) }
        var entries: Set<String> = []
        for person in people.sorted(by: { $0.profileID < $1.profileID }) {
            let consents = try await profiles.consents(of: person, in: transaction)
            let country = try await profiles.traits(of: person, in: transaction).values["country"]?.string
            let use = ConsentUse(
                things: [.init(.destinations, destination)],
                jurisdiction: country.flatMap(Jurisdiction.init(loosely:)))
            let words = consents.mapValues { ConsentWord($0.state, at: $0.at) }
            if let denial = permits(current.policy, words, use, now: time).denial {
                return .decided(
                    try await withhold(
                        delivery,
                        [
                            "reason": .string(denial.reason.rawValue), "purpose": .string(denial.purpose),
                            "policyVersion": version,
                        ], at: now, in: transaction))
            }
            for purpose in requirement.purposes {
                if let entry = consents[purpose]?.ledgerEntry {
                    entries.insert(entry.uuidString.lowercased())
                }
            }
        }
        let evidence: JSON = [
            "purposes": .array(requirement.purposes.map { .string($0) }),
            "ledgerEntries": .array(entries.sorted().map { .string($0) }), "policyVersion": version,
        ]
        try await deliveries.note(evidence, of: delivery, in: transaction)
        return .decided(try await permit(delivery, in: transaction))
    }

    /// What goes out is what stood there when it was permitted, and its lease is as long as an attempt may take, however long
    /// the decision waited.
    private func permit(
        _ delivery: ClaimedDelivery, in transaction: PostgresTransaction
    ) async throws -> DestinationPermission {
        guard let held = try await deliveries.hold(delivery, in: transaction) else { return .lost }
        guard held.includesTraits, !held.isErased, let id = held.profileID else {
            return .permitted(held, .read(nil))
        }
        return .permitted(held, .read(try await reading.view(of: id, in: transaction)?.values))
    }

    private func withhold(
        _ delivery: ClaimedDelivery, _ evidence: JSON, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> DestinationPermission {
        try await WebhookAudience.noteUnrecorded(delivery, in: transaction)
        // Also where it is somebody else's by now, who will find the same.
        try await deliveries.withhold(delivery, evidence, at: now, in: transaction)
        return .withheld(evidence)
    }
}
