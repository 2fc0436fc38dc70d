import Foundation
import IngestionDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Takes items of the quarantine in, after what was wrong has been mended: here, at the sender, or in the item.
struct QuarantineReplay: Sendable {
    let pool: PostgresPool
    let clock: ServiceClock
    let log: EventLog
    /// What imports may bring: an item that was within the limits once still is.
    let limits: IngestionLimits
    let directory: SourceDirectory
    let preparation: EventPreparation

    /// What is done to an item before it is read again.
    enum Mend: String, CaseIterable, Sendable {
        /// `\u0000` goes, and half a surrogate pair becomes U+FFFD.
        case text
        /// A time that no event can have becomes the time at which the item came.
        case time
    }

    struct Report: Sendable {
        var items: [(id: QuarantineID, messageID: String?, verdict: Verdict)] = []
        /// Whether more items fit the filter than one call takes.
        var hasMore = false
    }

    /// Items in one transaction.
    static let limit = 500

    /// Reads the items that fit again and accepts those that are good now: effects, account and quarantine in one
    /// transaction. With `replacement`, the one item is read from these bytes instead.
    func replay(
        _ filter: QuarantineFilter, mending: Set<Mend>, replacement: [UInt8]? = nil
    ) async throws -> Report {
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            let found = try await QuarantineStore.take(
                filter, limit: Self.limit + 1, profiles: log.profiles, in: transaction)
            let taken = found.prefix(Self.limit)
            // The plans as they are now: mending one is why items are taken in again.
            var sources: [SourceID: KnownSource] = [:]
            for id in Set(taken.map(\.sourceID)) { sources[id] = try await directory.source(id) }
            var events: [(stored: StoredQuarantinedItem, event: ReadyEvent)] = []
            var refused: [(id: QuarantineID, refusal: Refusal)] = []
            for stored in taken {
                do throws(Refusal) {
                    let item = replacement ?? stored.item ?? []
                    let event = try read(item, of: stored, in: sources[stored.sourceID], mending)
                    events.append((stored, ReadyEvent(event)))
                } catch {
                    refused.append((stored.id, error))
                }
            }
            let permitted = try await log.rules.held(
                events.map { EventLog.LoggedEvent($0.event, $0.stored.traceparent) }, at: now,
                in: transaction)
            let keys = Set(permitted.map(\.event.key))
            for (stored, event) in events where !keys.contains(event.key) {
                refused.append((stored.id, EventRules.refusal))
            }
            events.removeAll { !keys.contains($0.event.key) }
            var fresh = try await log.log(permitted, at: now, in: transaction)
            var counts = ReconciliationCounts()
            var report = Report(hasMore: found.count > taken.count)
            var outcomes: [(id: QuarantineID, outcome: String)] = []
            for (stored, event) in events {
                let isNew = fresh.remove(event.key) != nil
                let verdict: Verdict = isNew ? .accepted : .duplicate
                counts.release(source: stored.sourceID, at: stored.receivedAt, isDuplicate: !isNew)
                outcomes.append((stored.id, verdict.name))
                report.items.append((stored.id, event.key.messageID, verdict))
            }
            try await QuarantineStore.settle(outcomes, at: now, in: transaction)
            try await QuarantineStore.explain(
                refused, at: now, vault: log.profiles.vault, in: transaction)
            try await ReconciliationStore.add(counts, in: transaction)
            report.items += refused.map { ($0.id, nil, .quarantined($0.refusal)) }
            return report
        }
    }

    private func read(
        _ item: [UInt8], of stored: StoredQuarantinedItem, in source: KnownSource?, _ mending: Set<Mend>
    ) throws(Refusal) -> TrackingEvent {
        let envelope: EventParser.Envelope
        do {
            envelope = try EventParser.Envelope(stored)
        } catch {
            throw Refusal(.invalid, "what was kept beside the item can't be read: \(error.message)")
        }
        let text = mending.contains(.text) ? StorableText.mend(item) : item
        let event = try EventParser(limits: limits, mendsTime: mending.contains(.time)).parse(
            text[...], in: envelope)
        // What the installation tells itself follows no plan. A source that is gone has none, and is treated as one of
        // which nothing was said.
        guard stored.sourceID != SourceStore.installation else { return event }
        switch preparation.prepare(event, of: source ?? KnownSource(id: stored.sourceID)) {
        case .accept(let event): return event
        case .quarantine(_, let refusal): throw refusal
        }
    }
}
