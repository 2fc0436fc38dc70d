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
    let queue: QueueStore
    let decisions: DecisionStore
    let templates: TemplateStore
    let suppressions: SuppressionStore
    let recommendations: RecommendationReader
    let rendering: MailRendering
    let events: OutcomeEvents
    let from: Mailbox
    let lease: Duration

    /// A mail that is recorded as being sent, and must now be.
    struct Prepared: Sendable {
        var mail: OutgoingMail
        var sending: QueueStore.Sending
    }

    struct Result: Sendable {
        /// How many messages were taken from the queue, sent or not.
        var taken: Int
        var prepared: [Prepared]
    }

    /// What is known of one message before consent is looked at.
    private struct Draft {
        var message: QueuedMessage
        var facts: SendFacts
        var evidence: [String: JSON]
        var rendered: MailRendering.Result?
        /// By contact key.
        var addresses: [String: (address: EmailAddress, hash: Data)]
        var memberIDs: [ProfileID]
    }

    func decide(_ limit: Int) async throws -> Result {
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            let messages = try await queue.take(limit, in: transaction)
            guard !messages.isEmpty else { return Result(taken: 0, prepared: []) }
            var drafts = try await drafts(of: messages, now: now, in: transaction)
            let consents = try await decisions.lockConsents(
                Array(Set(drafts.flatMap(\.memberIDs))), purposes: Set(messages.map(\.purpose)),
                in: transaction)
            for index in drafts.indices {
                let draft = drafts[index]
                drafts[index].facts.consents = draft.memberIDs.compactMap {
                    consents[$0]?[draft.message.purpose]
                }
            }
            return Result(
                taken: messages.count, prepared: try await settle(drafts, now: now, in: transaction))
        }
    }

    // MARK: Reading and rendering

    private func drafts(
        of messages: [QueuedMessage], now: Instant, in transaction: PostgresTransaction
    ) async throws -> [Draft] {
        let known = try await decisions.profiles(Array(Set(messages.map(\.profileID))), in: transaction)
        let bases = try await decisions.legalBases(Set(messages.map(\.purpose)), in: transaction)
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
                    purpose: message.purpose, legalBasis: bases[message.purpose],
                    isErased: person?.erasedAt != nil, contacts: [], consents: [],
                    templateVersion: parsed[message.template]?.version, renderingError: nil,
                    attempts: attempts[message.id] ?? [], now: now),
                evidence: [:], rendered: nil, addresses: [:],
                memberIDs: person?.memberIDs ?? [message.profileID])
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
                let traits = person.flatMap { known.traits[$0.profileID]?.values } ?? [:]
                do throws(MailTemplate.Mistake) {
                    draft.rendered = try rendering.render(
                        parsed.template, message, profileID: person?.profileID ?? message.profileID,
                        traits: traits, email: found.max { $0.lastSeen < $1.lastSeen }?.identifier.value,
                        recommendations: items?.items ?? [],
                        canUnsubscribe: bases[message.purpose] != .contract, now: now)
                } catch {
                    draft.facts.renderingError =
                        "\(error.part.rawValue):\(error.error.line):\(error.error.column): \(error.error.message)"
                }
            }
            return draft
        }
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
    ) async throws -> [Prepared] {
        var prepared: [Prepared] = []
        var refused: [(message: QueuedMessage, reason: NonSendReason, evidence: JSON)] = []
        var later: [(shard: Shard, id: MessageID, until: Instant)] = []
        for draft in drafts {
            let decision = SendDecision.decide(draft.facts)
            var evidence = draft.evidence
            evidence["facts"] = draft.facts.json
            evidence["decision"] = decision.json
            switch decision {
            case .send(let contact, _):
                guard let to = draft.addresses[contact], let rendered = draft.rendered else {
                    // `templateFailed` and `invalidAddress` are decided before a send.
                    refused.append((draft.message, .templateFailed, .object(evidence)))
                    continue
                }
                prepared.append(
                    prepare(
                        draft.message, rendered, to: to.address, hash: to.hash, .object(evidence), now: now))
            case .doNotSend(let reason): refused.append((draft.message, reason, .object(evidence)))
            case .retry(let instant): later.append((draft.message.shard, draft.message.id, instant))
            }
        }
        try await queue.markSending(prepared.map(\.sending), lease: lease, at: now, in: transaction)
        try await queue.markSuppressed(refused, at: now, in: transaction)
        if !later.isEmpty {
            try await queue.markWaiting(later, in: transaction)
            try await DeadlineSweeper.notify(schema: "delivery", in: transaction)
        }
        try await events.enqueue(
            refused.map { message, reason, _ in
                OutcomeEvents.event(
                    "Email Not Sent", of: message, key: "not-sent", subject: nil, at: now,
                    ["reason": .string(reason.rawValue)])
            }, at: now, in: transaction)
        return prepared
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
        }
    }
}
