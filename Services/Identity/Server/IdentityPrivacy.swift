import IdentityDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// What identity does about requests for access and erasure.
struct IdentityPrivacy {
    let reading: ProfileReading
    let clock: ServiceClock
    /// What was to be told of somebody before an erasure.
    private let events: FactsBefore<PrivacyRequestID>
    private let people = PeopleStore()
    private var timeline: TimelineStore { TimelineStore(vault: reading.store.vault) }
    private var notes: MergeNotes { MergeNotes(days: reading.store.vault.days) }
    private var outbox: Outbox { Outbox(schema: ServiceName.identity.schema, vault: reading.store.vault) }
    private static let pageSize = 1000

    /// `events` is the consumer that resolves them, or one of the same name.
    init(reading: ProfileReading, clock: ServiceClock, events: StreamConsumer) {
        self.reading = reading
        self.clock = clock
        self.events = FactsBefore(events)
    }

    var handler: PrivacyHandler {
        PrivacyHandler(
            access: { request, transaction in try await summary(request, in: transaction) },
            pages: { request, transaction, pages in
                try await timeline(request, into: pages, in: transaction)
            },
            erase: { request, transaction in try await erase(request, in: transaction) },
            failed: { request, transaction in try await tellOfFailure(request, in: transaction) })
    }

    /// Everything that identity holds on the person, at once.
    func access(_ request: PrivacyRequest, in transaction: PostgresTransaction) async throws -> JSON {
        try await handler.everything(request, transaction)
    }

    /// What somebody did, page by page: it may be much.
    private func timeline(
        _ request: PrivacyRequest, into pages: PrivacyPages, in transaction: PostgresTransaction
    ) async throws {
        let members = try await members(request, in: transaction)
        var position: TimelineStore.Position?
        while true {
            let page = try await timeline.page(
                of: members, before: position, limit: Self.pageSize, in: transaction)
            try await pages.take("timeline", page.map(\.json))
            guard page.count == Self.pageSize, let last = page.last else { break }
            position = last.position
        }
    }

    private func summary(_ request: PrivacyRequest, in transaction: PostgresTransaction) async throws -> JSON
    {
        let members = try await members(request, in: transaction)
        let profile = try await reading.view(of: request.profileID, in: transaction)
        return [
            "profile": profile?.json ?? .null,
            "merges": .array(try await people.merges(of: members, notes: notes, in: transaction)),
            "webhooks": try await WebhookQueue.told(of: members, in: transaction),
            "matching": try await MatchingProposalStore.told(of: members, in: transaction),
            "matchingRecords": try await MatchingRecordStore.told(of: members, in: transaction),
        ]
    }

    /// Deletes traits and identifiers and empties the timeline, of every profile of the person, and appends
    /// the fact for those who keep something derived from them. The ids and the merges between them stay: they
    /// say nothing any more.
    ///
    /// What was accepted before the request is resolved first, so that it goes as well, whoever has read it already: a
    /// page in memory from before is of no use once the checkpoint is past it. What is resolved after the erasure makes
    /// a profile of somebody new, so of the raw log it takes what lies before the point up to which events are resolved
    /// at this instant, and nothing else.
    func erase(_ request: PrivacyRequest, in transaction: PostgresTransaction) async throws -> JSON {
        guard try await events.haveBeenProcessed(before: request.id, in: transaction) else {
            throw RetryLater("events that came before the request are still being resolved")
        }
        let now = try await clock.now()
        // With its canonical profile locked, no event can be resolved to the person in between.
        _ = try await ResolutionStore(key: reading.store.key)
            .lockProfiles(Set(request.profileIDs + [request.profileID]), in: transaction)
        // Only now: whoever had the lock before has committed, checkpoint and all, and whoever waits for it has not.
        let resolved = try await events.positions(in: transaction)
        let members = try await members(request, in: transaction)
        let names = try await reading.store.names(of: members, in: transaction)
        let unresolved = try await people.deleteUnresolved(
            names, key: reading.store.key, upTo: resolved, in: transaction)
        var told = ToldNames(names: names, resolved: resolved, unresolved: unresolved)
        told.shared = try await reading.store.sharedNames(of: members, in: transaction)
        let areSeparated = try await reading.store.areSeparated(members, in: transaction)
        told.messages = try await timeline.messages(
            of: members, anywhere: areSeparated || !told.shared.isEmpty,
            outside: Set(names).subtracting(told.shared), in: transaction)
        try await tellOthers(request, of: members, told, at: now, in: transaction)
        let records = try await MatchingRecordStore.erase(members, in: transaction)
        let traits = try await people.deleteTraits(of: members, in: transaction)
        let identifiers = try await people.deleteIdentifiers(of: members, at: now, in: transaction)
        try await SearchStore(key: reading.store.key).delete(members, in: transaction)
        let entries = try await timeline.eraseEvents(of: members, at: now, in: transaction)
        let deliveries = try await WebhookQueue.erase(members, in: transaction)
        let recipients = try await WebhookQueue.tell(
            ofErasing: members, for: request, at: now, queuedAt: Instant.fromSystemClock(), in: transaction)
        try await CorrectedNameStore(key: reading.store.key).erase(members, in: transaction)
        try await AccountStore.deleteMembers(members, in: transaction)
        let proposals = try await MatchingProposalStore.erase(members, in: transaction)
        // What operators wrote about merges may tell of the person.
        try await MergeStore.dropNotes(of: members, in: transaction)
        _ = try await IdempotencyStore.drop(members, in: transaction)
        // From here on nothing opens any more that was sealed about the person, wherever a copy is.
        _ = try await reading.store.vault.profiles.destroy(members, in: transaction)
        try await people.markErased(members, at: now, in: transaction)
        try await timeline.append(
            members.map { TimelineStore.NewFact(fact: .erased(profileID: $0, at: now)) },
            sealing: .empty, at: now, in: transaction)
        return [
            "profiles": .integer(Int64(members.count)), "identifiers": .integer(Int64(identifiers)),
            "traits": .integer(Int64(traits)), "timelineEntries": .integer(Int64(entries)),
            "webhookDeliveries": .integer(Int64(deliveries)), "matchingProposals": .integer(Int64(proposals)),
            "unresolvedEvents": .integer(Int64(unresolved.count)),
            "matchingRecords": .integer(Int64(records)), "recipients": .array(recipients),
        ]
    }

    /// The raw event log and the quarantine know people by the names that senders used, and after this only ingestion
    /// needs to. Delivery may have sent something since it has erased the person itself, and from here on sends nothing.
    private func tellOthers(
        _ request: PrivacyRequest, of members: [ProfileID], _ told: ToldNames, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        let path = "/v1/erasures/\(request.id)"
        let ids = JSON.array(members.map { .string($0.description) })
        // Delivery has mails that are of no profile, and knows them by the keyed hash of the address.
        let addresses = try await reading.store.identifiers(of: members, in: transaction)
            .map(\.identifier).filter { $0.kind == .email }
            .map { JSON.string(hexadecimal(Array(reading.store.key.place(of: $0).hash))) }
        let toDelivery: JSON = ["profileIds": ids, "addressHashes": .array(addresses)]
        var members = told.members
        members["profileIds"] = ids
        try await outbox.enqueue(
            [(.ingestion, "PUT", path, .object(members)), (.delivery, "PUT", path, toDelivery)],
            in: transaction, at: now)
    }

    /// What ingestion is told about somebody who is erased.
    private struct ToldNames {
        /// All that something may be kept under which is about them.
        var names: [String]
        /// Up to where events were resolved.
        var resolved: [Shard: Int64]
        /// Where events stand that could not be resolved.
        var unresolved: [(shard: Shard, offset: Int64)]
        /// Those of the names that others were seen with as well.
        var shared: Set<String> = []
        /// Their events under names that are not theirs alone.
        var messages: [String: [String]] = [:]

        var members: [String: JSON] {
            var members: [String: JSON] = [
                "subjects": .array(names.map(JSON.string)),
                "upTo": .object(
                    Dictionary(
                        uniqueKeysWithValues: resolved.map { ("\($0.key.number)", JSON.integer($0.value)) })),
            ]
            if !shared.isEmpty { members["sharedSubjects"] = .array(shared.sorted().map(JSON.string)) }
            if !messages.isEmpty {
                members["messages"] = .object(messages.mapValues { .array($0.map(JSON.string)) })
            }
            if !unresolved.isEmpty {
                members["unresolved"] = .object(
                    Dictionary(grouping: unresolved, by: { "\($0.shard.number)" })
                        .mapValues { .array($0.map { .integer($0.offset) }) })
            }
            return members
        }
    }

    /// Ingestion waits to be told. When it can't be, it is to go by what it finds itself.
    private func tellOfFailure(
        _ request: PrivacyRequest, in transaction: PostgresTransaction
    ) async throws {
        try await outbox.enqueue(
            target: .ingestion, method: "PUT", path: "/v1/erasures/\(request.id)", body: ["subjects": []],
            in: transaction, at: try await clock.now())
    }

    /// The profiles of the request, and those merged since.
    private func members(
        _ request: PrivacyRequest, in transaction: PostgresTransaction
    ) async throws -> [ProfileID] {
        try await people.members(of: request.profileIDs + [request.profileID], in: transaction)
    }
}
