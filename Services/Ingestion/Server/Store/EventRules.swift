import ConsentDomain
import IngestionDomain
import Models
import Postgres
import ProfileStore

/// Holds events to the consent policy before they are stored. Where no policy has rules for events, nothing is asked.
final class EventRules: Sendable {
    private let policies: ConsentPolicyReader<ConsentPolicy>
    private let profiles: ProfileStore

    /// How old the policy may be.
    private static let age = Duration.seconds(1)

    init(policies: ConsentPolicyReader<ConsentPolicy>, profiles: ProfileStore) {
        (self.policies, self.profiles) = (policies, profiles)
    }

    static let refusal = Refusal(
        .consent, "a purpose that it needs is not permitted; it is counted and not stored")

    /// Whether the policy has a rule for an item, as nobody is shown such a one as it came; nil where it has none at all.
    var governing: (@Sendable (EventWriter.Item) -> Bool)? {
        guard let policy = policies.known?.policy, policy.requires[.events] != nil else { return nil }
        return { item in
            guard case .event(let event) = item else { return false }
            return policy.requirement(of: .events, event.rule) != nil
        }
    }

    /// The deliveries with what may be stored of them. What may only be counted is refused with the reason.
    func held(
        _ deliveries: [EventWriter.Delivery], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [EventWriter.Delivery] {
        guard let policy = try await policy(in: transaction) else { return deliveries }
        let events = try due(deliveries.flatMap(\.items), policy)
        guard !events.isEmpty else { return deliveries }
        let words = try await words(of: events.values, in: transaction)
        return deliveries.map { delivery in
            var delivery = delivery
            delivery.items = delivery.items.map { item in
                guard case .event(let ready) = item, let event = events[ready.text] else { return item }
                return self.item(event, ready, policy, words, at: now)
            }
            return delivery
        }
    }

    /// The same of events alone; those that may only be counted are left out.
    func held(
        _ events: [EventLog.LoggedEvent], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [EventLog.LoggedEvent] {
        guard let policy = try await policy(in: transaction) else { return events }
        let found = try due(events.map { .event($0.event) }, policy)
        guard !found.isEmpty else { return events }
        let words = try await words(of: found.values, in: transaction)
        return events.compactMap { logged in
            guard let event = found[logged.event.text] else { return logged }
            guard case .event(let ready) = item(event, logged.event, policy, words, at: now) else {
                return nil
            }
            return EventLog.LoggedEvent(ready, logged.traceparent)
        }
    }

    private func policy(in session: some PostgresSession) async throws -> ConsentPolicy? {
        let policy = try await policies.recentIfAny(Self.age, in: session)?.policy
        return policy?.requires[.events]?.isEmpty ?? true ? nil : policy
    }

    /// The events that the policy has a rule for, read again, by their texts: of two that call themselves the same each is
    /// judged by itself.
    private func due(
        _ items: [EventWriter.Item], _ policy: ConsentPolicy
    ) throws -> [[UInt8]: TrackingEvent] {
        var due: [[UInt8]: TrackingEvent] = [:]
        for case .event(let event) in items where policy.requirement(of: .events, event.rule) != nil {
            due[event.text] = try TrackingEvent(json: JSONParser.parse(event.text[...]))
        }
        return due
    }

    /// What everybody that events name has said, by any of their names.
    private struct Words {
        var people: [Identifier: ProfileID] = [:]
        var words: [ProfileID: [String: ConsentWord]] = [:]
    }

    /// Every name that identity may take somebody by: also an address or a telephone number among the traits.
    private static func identifiers(of event: TrackingEvent) -> [Identifier] {
        var found = [
            event.userID.flatMap { Identifier(.userID, $0) },
            event.anonymousID.flatMap { Identifier(.anonymousID, $0) },
        ]
        for traits in [event.traits, event.context["traits"]?.object ?? [:]] {
            found.append(traits["email"]?.string.flatMap { Identifier(.email, $0) })
            found.append(traits["phone"]?.string.flatMap { Identifier(.phone, PhoneNumber($0)?.digits) })
        }
        return found.compactMap { $0 } + Identifier.external(in: event.context)
    }

    private func words(
        of events: some Collection<TrackingEvent>, in transaction: PostgresTransaction
    ) async throws -> Words {
        var found = Words()
        found.people = try await profiles.canonicalIDs(
            of: Set(events.flatMap(Self.identifiers)), in: transaction)
        let ids = Set(found.people.values).union(events.compactMap(\.profileID))
        let people = try await profiles.people(Array(ids), in: transaction)
        let consents = try await profiles.consents(of: people.values, in: transaction)
        for (id, person) in people {
            found.words[id] = (consents[person.profileID] ?? [:]).mapValues {
                ConsentWord($0.state, at: $0.at)
            }
        }
        return found
    }

    private func item(
        _ event: TrackingEvent, _ ready: ReadyEvent, _ policy: ConsentPolicy, _ words: Words, at now: Instant
    ) -> EventWriter.Item {
        let people = Set(
            Self.identifiers(of: event).compactMap { words.people[$0] } + [event.profileID].compactMap { $0 })
        let known = people.compactMap { words.words[$0] }
        switch EventStorageDecision.decide(event, policy, known: known, now: now) {
        case .full: return .event(ready)
        case _ where EventStorageDecision.hasNews(event, policy, known: known):
            return .event(ReadyEvent(event.consentAlone))
        case .pseudonymous:
            let day = event.receivedAt.milliseconds / 86_400_000
            let pseudonym = "pseudonym-" + profiles.key.mark(of: "\(day) \(event.subjectKey)")
            return .event(ReadyEvent(event.pseudonymous(as: pseudonym)))
        case .count:
            return .refused(Self.refusal, messageID: event.messageID)
        }
    }
}
