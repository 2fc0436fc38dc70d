import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams

/// What ingestion does about requests for access and erasure: the raw events that were sent under a name that the
/// person went by.
struct IngestionPrivacy {
    let store: RawEventStore
    let clock: ServiceClock

    init(store: RawEventStore, clock: ServiceClock) {
        self.store = store
        self.clock = clock
    }

    var handler: PrivacyHandler {
        PrivacyHandler(
            access: { _, _ in [:] },
            pages: { request, transaction, pages in try await found(request, into: pages, in: transaction) },
            erase: { request, transaction in try await erase(request, in: transaction) })
    }

    /// What was sent of the person, and what of it could not be accepted.
    private func found(
        _ request: PrivacyRequest, into pages: PrivacyPages, in transaction: PostgresTransaction
    ) async throws {
        try await pages.take("quarantine", [])
        try await store.eachQuarantined(of: request.people, in: transaction) {
            try await pages.take("quarantine", $0)
        }
        try await pages.take("rawEvents", [])
        try await store.eachPage(of: request.people, in: transaction) {
            try await pages.take("rawEvents", $0)
        }
    }

    /// Identity goes first: it alone knows up to where events were resolved to the person when it erased them, and what
    /// comes after that is resolved to somebody new. Such an event must be in both places, or in neither.
    func erase(_ request: PrivacyRequest, in transaction: PostgresTransaction) async throws -> JSON {
        guard
            var told = try await store.handedOver(
                request.id, again: request.services?.contains(.identity) ?? false, in: transaction)
        else {
            throw RetryLater("identity has not told yet what names the person went by")
        }
        // Where identity could not erase them, their names are still there.
        told.subjects += try await store.subjects(of: request.people, in: transaction)
        let shared = try await store.profiles.sharedNames(of: request.people, in: transaction)
        if !shared.isEmpty {
            told.shared.formUnion(shared)
            told.messages.formUnion(
                try await store.profiles.messageNames(of: request.people, in: transaction))
        }
        told.profileIDs += request.people
        let erased = try await store.erase(told, at: try await clock.now(), in: transaction)
        try await store.forgetHandOver(request.id, in: transaction)
        try await RecentItemStore.erase(in: transaction)
        return ["rawEvents": .integer(Int64(erased))]
    }
}

extension PrivacyRequest {
    fileprivate var people: [ProfileID] {
        profileIDs.contains(profileID) ? profileIDs : profileIDs + [profileID]
    }
}
