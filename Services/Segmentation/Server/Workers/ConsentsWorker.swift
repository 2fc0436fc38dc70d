import Models
import Postgres
import SegmentationDomain
import ServiceKit
import Streams

/// Follows `consents`: what somebody decided about a purpose changes who they are in the rules that ask for it.
struct ConsentsWorker {
    let registry: SegmentRegistry

    func consumer(in context: ServiceContext) -> StreamConsumer {
        context.consumer(of: .consents) { batch, transaction in
            try await take(batch, in: transaction)
        }
    }

    /// Decisions take effect one after the other, each at its own instant. Of somebody who was parted from others a
    /// decision on the stream may be another's by now: there it is a sign alone, and what stands is read.
    func take(_ batch: StreamBatch, in transaction: PostgresTransaction) async throws {
        let decider = try await registry.decider(in: transaction)
        let asked = try batch.records.map { ($0, try ConsentChange(json: $0.body)) }
            .filter { decider.set.purposes.contains($0.1.purpose) }
        guard !asked.isEmpty else { return }
        let told = Set(asked.map(\.1.profileID))
        let before = try await ConsentReading.people(of: told, in: transaction).canonical
        let states = try await StateStore(transaction: transaction, registry: registry)
            .lock(Set(before.keys).union(before.values))
        // Only now, under the locks: whoever was erased or merged before is known to be.
        let (people, parted) = try await ConsentReading.people(of: told, in: transaction)
        var work = MembershipWork(
            decider: decider, states: states, now: batch.now, vault: registry.vault, in: transaction)
        try await work.refresh()
        try await work.hearOfConsents(of: Set(states.keys))
        var signs: Set<ProfileID> = []
        for (record, consent) in asked {
            guard let canonical = people[consent.profileID],
                let profile = work.holder(of: consent.profileID, or: canonical)
            else { continue }
            if parted.contains(consent.profileID) {
                signs.insert(profile)
            } else {
                work.take(consent, of: profile, record)
            }
        }
        let standing = try await ConsentReading.standing(of: signs, at: batch.now, in: transaction)
        for (record, consent) in asked {
            guard let canonical = people[consent.profileID],
                let profile = work.holder(of: consent.profileID, or: canonical), signs.remove(profile) != nil
            else { continue }
            work.replaceConsents(
                of: profile, with: standing[profile] ?? [],
                cause: .consent(
                    purpose: consent.purpose, ledgerEntry: consent.ledgerEntry, at: consent.at),
                record.traceparent)
        }
        work.hearTheRest()
        try await work.write()
    }
}
