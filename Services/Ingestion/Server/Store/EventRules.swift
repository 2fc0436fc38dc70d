import ConsentDomain
import IngestionDomain
import Metrics
import Models
import Postgres
import ProfileStore

/// Holds events to the consent policy before they are stored. Where no policy has rules for events, nothing is asked.
final class EventRules: Sendable {
    private let policies: ConsentPolicyReader<ConsentPolicy>
    private let profiles: ProfileStore
    private let consents: KnownConsents

    /// How old the policy may be.
    private static let age = Duration.seconds(1)

    init(policies: ConsentPolicyReader<ConsentPolicy>, profiles: ProfileStore) {
        (self.policies, self.profiles) = (policies, profiles)
        consents = KnownConsents(profiles: profiles)
    }

    static let refusal = Refusal(
        .consent, "a purpose that it needs is not permitted; it is counted and not stored")

    /// Whether the policy has a rule for an item, as nobody is shown such a one as it came; nil where it has none at all.
    var governing: (@Sendable (EventWriter.Item) -> Bool)? {
        guard let policy = policies.known?.policy, Self.isAsked(policy) else { return nil }
        return { item in
            guard case .event(let event) = item else { return false }
            return Self.isAsked(policy, about: event.rule)
        }
    }

    /// What has to be known of an event to hold it to the policy, for whoever reads it; nil where the policy that was read
    /// last has no rule for it.
    func question(
        about rule: String, _ question: @autoclosure () -> EventQuestion?
    ) -> EventQuestion? {
        policies.known.map { Self.isAsked($0.policy, about: rule) } ?? false ? question() : nil
    }

    /// Whether a policy has a rule for what is stored of events.
    private static func isAsked(_ policy: ConsentPolicy) -> Bool {
        !(policy.requires[.events]?.isEmpty ?? true) || UnpermittedParts.mayBe(of: policy)
    }

    private static func isAsked(_ policy: ConsentPolicy, about rule: String) -> Bool {
        policy.requirement(of: .events, rule) != nil || UnpermittedParts.mayBe(of: policy)
    }

    /// The deliveries with what may be stored of them. What may only be counted is refused with the reason.
    func held(
        _ deliveries: [EventWriter.Delivery], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [EventWriter.Delivery] {
        guard let policy = try await policy(in: transaction) else { return deliveries }
        let questions = try deliveries.map { try $0.items.map { try question($0, policy) } }
        guard questions.contains(where: { $0.contains { $0 != nil } }) else { return deliveries }
        let people = try await consents.people(
            for: questions.lazy.joined().compactMap { $0 }, in: transaction)
        return try zip(deliveries, questions).map { delivery, questions in
            var delivery = delivery
            for (index, question) in questions.enumerated() {
                guard let question, case .event(let event) = delivery.items[index] else { continue }
                if let held = try held(event, question, policy, people, at: now) {
                    delivery.items[index] = held
                }
            }
            return delivery
        }
    }

    /// The same of events alone; those that may only be counted are left out.
    func held(
        _ events: [EventLog.LoggedEvent], at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [EventLog.LoggedEvent] {
        guard let policy = try await policy(in: transaction) else { return events }
        let questions = try events.map { try question(.event($0.event), policy) }
        guard questions.contains(where: { $0 != nil }) else { return events }
        let people = try await consents.people(for: questions.lazy.compactMap { $0 }, in: transaction)
        return try zip(events, questions).compactMap { logged, question in
            guard let question, let held = try held(logged.event, question, policy, people, at: now) else {
                return logged
            }
            guard case .event(let ready) = held else { return nil }
            return EventLog.LoggedEvent(ready, logged.traceparent)
        }
    }

    private func policy(in session: some PostgresSession) async throws -> ConsentPolicy? {
        let policy = try await policies.recentIfAny(Self.age, in: session)?.policy
        return policy.flatMap { Self.isAsked($0) ? $0 : nil }
    }

    /// What has to be known of an item that the policy has a rule for. An event is read again where its reader did not
    /// know of the rule.
    private func question(_ item: EventWriter.Item, _ policy: ConsentPolicy) throws -> EventQuestion? {
        guard case .event(let event) = item, Self.isAsked(policy, about: event.rule) else { return nil }
        return try event.question ?? EventQuestion(Self.event(event))
    }

    private static func event(_ ready: ReadyEvent) throws -> TrackingEvent {
        try TrackingEvent(json: JSONParser.parse(ready.text[...]))
    }

    /// What is stored instead of an event; nil where it is stored as it is.
    private func held(
        _ ready: ReadyEvent, _ question: EventQuestion, _ policy: ConsentPolicy,
        _ people: KnownConsents.Found,
        at now: Instant
    ) throws -> EventWriter.Item? {
        let known = people.words(for: question)
        let storage = EventStorageDecision.decide(question, policy, known: known, now: now)
        if storage == .full {
            let parts = UnpermittedParts(of: question, policy, known: known, now: now)
            if parts.isEmpty { return nil }
            let event = try Self.event(ready)
            // What takes a permission back must reach whom it is of.
            if !parts.identifiers.isEmpty, EventStorageDecision.hasNews(event, policy, known: known) {
                return .event(ReadyEvent(event.consentAlone))
            }
            return item(event, without: parts)
        }
        let event = try Self.event(ready)
        if EventStorageDecision.hasNews(event, policy, known: known) {
            return .event(ReadyEvent(event.consentAlone))
        }
        return storage == .pseudonymous
            ? pseudonymous(event) : .refused(Self.refusal, messageID: event.messageID)
    }

    private func pseudonymous(_ event: TrackingEvent) -> EventWriter.Item {
        let day = event.receivedAt.milliseconds / 86_400_000
        let pseudonym = "pseudonym-" + profiles.key.mark(of: "\(day) \(event.subjectKey)")
        return .event(ReadyEvent(event.pseudonymous(as: pseudonym)))
    }

    /// What is stored of an event whose parts may not all be. Of one whom nobody may be led to by, what happened is; an
    /// identify, alias or group call says nothing but who is who.
    private func item(_ event: TrackingEvent, without parts: UnpermittedParts) -> EventWriter.Item {
        Self.held(parts)
        if let rest = event.without(parts) { return .event(ReadyEvent(rest)) }
        return [.identify, .alias, .group].contains(event.kind)
            ? .refused(Self.refusal, messageID: event.messageID) : pseudonymous(event)
    }

    /// Counts what was held back by its kind, and of nobody.
    private static func held(_ parts: UnpermittedParts) {
        let counts = [("identifier", parts.identifiers.count), ("trait", parts.traits.count)]
        for (part, count) in counts where count > 0 {
            Counter(label: "martlet_ingestion_held_back_total", dimensions: [("part", part)])
                .increment(by: count)
        }
    }
}
