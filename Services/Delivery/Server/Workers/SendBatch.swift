import ConsentDomain
import DeliveryDomain
import Foundation
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams

/// Decides a batch of queued messages in one transaction: reads, renders, locks consent, and writes what follows.
struct SendBatch: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let corrections: CorrectionStore
    let decisions: DecisionStore
    let templates: TemplateStore
    let suppressions: SuppressionStore
    let recommendations: RecommendationReader
    let rendering: MailRendering
    let from: Mailbox
    let lease: Duration

    var queue: QueueStore { corrections.queue }

    /// A message that is held is looked at again after so long, by the machine's clock.
    static let recheck = Duration.seconds(1)

    /// A mail that is recorded as being sent, and must now be.
    struct Prepared: Sendable {
        var mail: OutgoingMail
        var sending: QueueStore.Sending
    }

    struct Result: Sendable {
        /// How many messages were taken from the queue, sent or not.
        var taken: Int
        var prepared: [Prepared]
        /// How many wait for others to follow the undoing of a merge.
        var held = 0
    }

    /// What is known of one message before consent is looked at.
    private struct Draft {
        var message: QueuedMessage
        var facts: SendFacts
        var evidence: [String: JSON]
        var rendered: MailRendering.Result?
        /// By contact key.
        var addresses: [String: (address: EmailAddress, hash: Data)]
        var person: Person?
        /// Whether the person was merged, parted or erased since all this was read.
        var isOutdated = false

        var memberIDs: [ProfileID] { person?.memberIDs ?? [message.profileID] }
        var personID: ProfileID { person?.profileID ?? message.profileID }
        /// Everything that somebody can have said that matters here.
        var named: Set<String> {
            ContactWish.names(forChannel: message.channel).union(facts.policy.purposes.keys)
        }
    }

    func decide(_ limit: Int) async throws -> Result {
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            let taken = try await queue.take(limit, in: transaction)
            let messages = try await corrections.settle(taken, at: now, in: transaction)
            guard !messages.isEmpty else { return Result(taken: taken.count, prepared: []) }
            var drafts = try await drafts(of: messages, now: now, in: transaction)
            try await addConsents(to: &drafts, now: now, in: transaction)
            try await addLastSends(to: &drafts, in: transaction)
            var result = try await settle(drafts, now: now, in: transaction)
            result.taken = taken.count
            return result
        }
    }

    /// Reads consents under the lock of decisions, and finds out of which undone merges they and the messages may yet know
    /// nothing, and who has become somebody else since: recommendations may have been waited for.
    private func addConsents(
        to drafts: inout [Draft], now: Instant, in transaction: PostgresTransaction
    ) async throws {
        let members = Array(Set(drafts.flatMap(\.memberIDs)))
        try await DecisionLock.take(for: .acting, of: members, in: transaction)
        let people = try await decisions.profiles.people(
            Array(Set(drafts.map(\.message.profileID))), in: transaction)
        for index in drafts.indices {
            let person = people[drafts[index].message.profileID]
            drafts[index].isOutdated =
                person?.memberIDs != drafts[index].person?.memberIDs
                || person?.profileID != drafts[index].person?.profileID
                || person?.erasedAt != drafts[index].person?.erasedAt
        }
        // What each needs is in its excerpt of the policy.
        let purposes = Set(
            drafts.flatMap {
                [$0.message.purpose] + $0.facts.policy.purposes.keys
                    + ContactWish.names(forChannel: $0.message.channel)
            })
        let since = now - SendDecision.longestDelay
        let before = try await decisions.unmerges(of: members, since: since, in: transaction)
        let consents = try await decisions.lockConsents(members, purposes: purposes, in: transaction)
        let objections = try await decisions.objections(members, purposes: purposes, in: transaction)
        let restricted = try await decisions.profiles.restricted(members, in: transaction)
        let after = try await decisions.unmerges(of: members, since: since, in: transaction)
        let told = try await decisions.told(
            Set(after.values.joined().map(\.mergeID)), in: Set(drafts.map(\.message.shard)), in: transaction)
        for index in drafts.indices {
            let draft = drafts[index]
            drafts[index].facts.isRestricted = !restricted.isDisjoint(with: draft.memberIDs)
            drafts[index].facts.consents = draft.memberIDs.flatMap { member in
                draft.named.sorted().flatMap { purpose in
                    [consents, objections].compactMap { $0[member]?[purpose] }
                }
            }
            drafts[index].facts.unmerges = draft.memberIDs.flatMap { member in
                (after[member] ?? []).map { unmerge in
                    let isFolded = before[member]?.contains { $0.mergeID == unmerge.mergeID && $0.isFolded }
                    let isTold =
                        member != draft.message.profileID
                        || told[draft.message.shard]?.contains(unmerge.mergeID) ?? false
                    return UnmergeFact(
                        mergeID: unmerge.mergeID, profileID: member, at: unmerge.at,
                        isFollowed: isFolded ?? false && isTold)
                }
            }
        }
    }

    /// When those were last written to who want that rarely. Theirs take turns, so that two messages which are decided at once
    /// don't both pass.
    private func addLastSends(
        to drafts: inout [Draft], in transaction: PostgresTransaction
    ) async throws {
        let wishing = drafts.filter {
            $0.facts.legalBasis != .contract && SendDecision.frequency($0.facts) != nil
        }
        guard !wishing.isEmpty else { return }
        let people = Dictionary(
            wishing.map { ($0.personID, $0.memberIDs) }, uniquingKeysWith: { first, _ in first })
        try await decisions.takeTurns(people.keys.sorted(), in: transaction)
        let contracts = try await decisions.policies.current(in: transaction).policy.purposes.values
            .filter { $0.legalBasis == .contract }.map(\.id)
        let last = try await decisions.lastSends(to: people, except: contracts, in: transaction)
        for index in drafts.indices { drafts[index].facts.lastSentAt = last[drafts[index].personID] }
    }

    // MARK: Reading and rendering

    private func drafts(
        of messages: [QueuedMessage], now: Instant, in transaction: PostgresTransaction
    ) async throws -> [Draft] {
        let known = try await decisions.profiles(Array(Set(messages.map(\.profileID))), in: transaction)
        let current = try await decisions.policies.current(in: transaction)
        let parsed = try await templates.parsed(Set(messages.map(\.template)), in: transaction)
        let attempts = try await decisions.earlierAttempts(of: messages, in: transaction)
        let keys = known.addresses.values.joined().compactMap(addressKey)
        let suppressed = Dictionary(grouping: try await suppressions.find(keys, in: transaction), by: \.key)
        let shown = await askForRecommendations(messages, templates: parsed)

        return messages.map { message in
            let person = known.people[message.profileID]
            let found = person.flatMap { known.addresses[$0.profileID] } ?? []
            var draft = Draft(
                message: message,
                facts: SendFacts(
                    messageID: message.id, wantedAt: message.wantedAt, channel: message.channel,
                    purpose: message.purpose, journey: message.journey,
                    jurisdiction: Self.jurisdiction(of: person, known), policy: ConsentPolicy(),
                    policyVersion: current.version, isErased: person?.erasedAt != nil, contacts: [],
                    consents: [],
                    templateVersion: parsed[message.template]?.version, renderingError: nil,
                    attempts: attempts[message.id] ?? [], now: now),
                evidence: message.correction.map { ["correction": $0.json] } ?? [:], rendered: nil,
                addresses: [:], person: person)
            draft.facts.policy = current.policy.excerpt(for: draft.facts.use)
            for identifier in found {
                guard let key = addressKey(identifier) else { continue }
                let address = EmailAddress(identifier.identifier.value)
                draft.facts.contacts.append(
                    Contact(
                        key: key.text, isValid: address != nil, lastSeen: identifier.lastSeen,
                        suppressions: (suppressed[key] ?? []).map(\.suppression)))
                if let address { draft.addresses[key.text] = (address, key.hash) }
            }
            if let parsed = parsed[message.template] {
                let items = shown[message.id]
                if let items { draft.evidence["recommendations"] = items.evidence }
                // The link in it is that of the profile whose address it is, so that it leads to nobody else's pages once a
                // merge is undone.
                let contact = found.max { $0.lastSeen < $1.lastSeen }
                let traits = person.flatMap { known.traits[$0.profileID]?.values } ?? [:]
                do throws(MailTemplate.Mistake) {
                    draft.rendered = try rendering.render(
                        parsed.template, message,
                        profileID: contact?.profileID ?? person?.profileID ?? message.profileID,
                        traits: traits, email: contact?.identifier.value,
                        recommendations: items?.items ?? [],
                        canUnsubscribe: draft.facts.legalBasis != .contract, now: now)
                } catch {
                    draft.facts.renderingError =
                        "\(error.part.rawValue):\(error.error.line):\(error.error.column): \(error.error.message)"
                }
            }
            return draft
        }
    }

    /// Where somebody is, as far as their trait `country` says so.
    private static func jurisdiction(of person: Person?, _ known: DecisionStore.Profiles) -> Jurisdiction? {
        person.flatMap { known.traits[$0.profileID]?.values["country"]?.string }
            .flatMap(Jurisdiction.init(loosely:))
    }

    private func addressKey(_ identifier: StoredIdentifier) -> AddressKey? {
        AddressKey(identifier.identifier.value, key: decisions.profiles.key)
    }

    private func askForRecommendations(
        _ messages: [QueuedMessage], templates: [String: (version: Int, template: MailTemplate)]
    ) async -> [MessageID: RecommendationReader.Answer] {
        let wanting = messages.filter {
            templates[$0.template]?.template.mentions("recommendations") ?? false
        }
        guard !wanting.isEmpty else { return [:] }
        let reader = recommendations
        return await withTaskGroup(of: (MessageID, RecommendationReader.Answer).self) { group in
            for message in wanting {
                group.addTask {
                    (
                        message.id,
                        await reader.items(for: message.profileID, after: message.variables["trigger"])
                    )
                }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    // MARK: Deciding

    private func settle(
        _ drafts: [Draft], now: Instant, in transaction: PostgresTransaction
    ) async throws -> Result {
        var prepared: [Prepared] = []
        var held: [QueuedMessage] = []
        var refused: [(message: QueuedMessage, reason: NonSendReason, evidence: JSON)] = []
        var later: [(shard: Shard, id: MessageID, until: Instant)] = []
        /// Whom this very batch writes to, of those who want that rarely.
        var sentNow: Set<ProfileID> = []
        for var draft in drafts {
            if sentNow.contains(draft.personID) { draft.facts.lastSentAt = now }
            if draft.isOutdated {
                // By what was read it would go to whoever they were; in a moment all of it is read anew.
                held.append(draft.message)
                continue
            }
            let decision = SendDecision.decide(draft.facts)
            var (facts, evidence) = (draft.facts, draft.evidence)
            // That they were erased is all that there is to say of them.
            if facts.isErased {
                (facts.consents, facts.jurisdiction, facts.lastSentAt, evidence) = ([], nil, nil, [:])
            }
            evidence["facts"] = facts.json
            evidence["policyVersion"] = .integer(facts.policyVersion)
            if case .doNotSend = decision, !facts.isErased,
                let denial = SendDecision.permission(facts).denial
            {
                evidence["denial"] = denial.json
            }
            evidence["decision"] = decision.json
            switch decision {
            case .send(let contact, _):
                guard let to = draft.addresses[contact], let rendered = draft.rendered else {
                    // `templateFailed` and `invalidAddress` are decided before a send.
                    refused.append((draft.message, .templateFailed, .object(evidence)))
                    continue
                }
                if draft.facts.legalBasis != .contract, SendDecision.frequency(draft.facts) != nil {
                    sentNow.insert(draft.personID)
                }
                prepared.append(
                    prepare(
                        draft.message, rendered, to: to.address, hash: to.hash, .object(evidence), now: now))
            case .doNotSend(let reason): refused.append((draft.message, reason, .object(evidence)))
            case .retry(let instant): later.append((draft.message.shard, draft.message.id, instant))
            case .hold: held.append(draft.message)
            }
        }
        try await queue.markSending(prepared.map(\.sending), lease: lease, at: now, in: transaction)
        try await queue.markSuppressed(refused, at: now, in: transaction)
        try await queue.markHeld(held, for: Self.recheck * 0.9, in: transaction)
        if !later.isEmpty {
            try await queue.markWaiting(later, in: transaction)
            try await DeadlineSweeper.notify(schema: "delivery", in: transaction)
        }
        try await corrections.events.enqueue(
            refused.map { message, reason, _ in OutcomeEvents.notSent(message, because: reason, at: now) },
            at: now, in: transaction)
        return Result(taken: drafts.count, prepared: prepared, held: held.count)
    }

    private func prepare(
        _ message: QueuedMessage, _ rendered: MailRendering.Result, to address: EmailAddress, hash: Data,
        _ evidence: JSON, now: Instant
    ) -> Prepared {
        Prepared(
            mail: OutgoingMail(
                mime: MIMEMessage(
                    id: message.id, date: now, from: from, to: address, subject: rendered.subject,
                    text: rendered.text, html: rendered.html, unsubscribeURL: rendered.unsubscribeURL),
                attempt: message.attempts + 1),
            sending: QueueStore.Sending(
                message: message, subject: rendered.subject, addressHash: hash, links: rendered.urls,
                evidence: evidence))
    }
}

extension SendDecision {
    /// For evidence.
    var json: JSON {
        switch self {
        case .send(let contact, let consent):
            ["send": ["contact": .string(contact), "consent": consent?.json ?? .null]]
        case .doNotSend(let reason): ["doNotSend": .string(reason.rawValue)]
        case .retry(let instant): ["retryAt": .string(instant.rfc3339)]
        case .hold(let mergeID): ["hold": .string(mergeID.description)]
        }
    }
}

extension ConsentDenial {
    /// For evidence.
    fileprivate var json: JSON { ["purpose": .string(purpose), "reason": .string(reason.rawValue)] }
}
