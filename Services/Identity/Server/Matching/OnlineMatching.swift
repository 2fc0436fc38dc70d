import Dispatch
import IdentityDomain
import Logging
import Metrics
import Models
import Postgres
import ProfileStore
import Streams

/// Matches one record against all profiles, in memory.
///
/// The index is made when it is first asked for, in the background, and follows the timeline from then on. Each look-up
/// first takes in what was committed before it, so a profile that was created just now is found. It holds at most so many
/// profiles as the settings say. When a quarter of it has changed, once a day, and within a quarter of an hour of an erasure it
/// is made anew beside the one in use.
actor OnlineMatching {
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    /// Look-ups compute for milliseconds: on a thread of their own, not on one of those that answer requests.
    private let executor: MatchingExecutor
    private let people: MatchingReading
    private let changes: TimelineChanges
    private let settings: MatchingSettings
    private let logger: Logger
    let mapping: MatchMapping

    private var index: ProfileIndex?
    private var building: Task<Void, any Error>?
    /// Until when there were too many profiles to hold, and it is not tried again.
    private var tooLargeUntil: ContinuousClock.Instant?
    /// The pass over the changes that is under way, and the one that begins after it.
    private var running: Task<Void, any Error>?
    private var waiting: Task<Void, any Error>?

    private let profilesHeld = Gauge(label: "martlet_matching_index_profiles")
    private let bytesHeld = Gauge(label: "martlet_matching_index_bytes")

    private static let pageSize = 1_000
    private static let longestAge: Duration = .hours(24)
    /// How long values of somebody who was erased may stay in memory.
    private static let longestErased: Duration = .minutes(10)
    private static let pauseWhenTooLarge: Duration = .hours(1)

    init(
        people: MatchingReading, settings: MatchingSettings, mapping: MatchMapping, logger: Logger
    ) {
        executor = MatchingExecutor()
        self.people = people
        changes = TimelineChanges(pool: people.pool)
        self.settings = settings
        self.mapping = mapping
        self.logger = logger
    }

    /// Why there is no answer.
    enum Absence: Error {
        /// The index is being made.
        case building
        case tooManyProfiles(limit: Int)
    }

    /// One profile that a record may be of.
    struct Candidate: Sendable {
        let profileID: ProfileID
        let found: MatchIndex.Found
    }

    var isBuilt: Bool { index != nil }

    /// The profiles that the values may be of, the most likely first, as of now.
    func look(up values: [String?], policy: MatchPolicy, limit: Int) async throws -> [Candidate] {
        if index == nil {
            if building == nil, let tooLargeUntil, .now < tooLargeUntil {
                throw Absence.tooManyProfiles(limit: settings.mostProfiles)
            }
            if building == nil { startBuilding() }
            throw Absence.building
        }
        try await catchUp()
        return index?.look(up: values, policy: policy, limit: limit) ?? []
    }

    /// Waits until the index is there, for a time.
    func waitForBuilding(upTo limit: Duration) async {
        guard let building, index == nil else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { _ = await building.result }
            group.addTask { try? await Task.sleep(for: limit) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: Following

    /// Takes in everything that was committed before the call.
    func catchUp() async throws {
        if let waiting { return try await waiting.value }
        let before = running
        let task = Task {
            _ = await before?.result
            running = waiting
            waiting = nil
            defer { running = nil }
            try await follow()
        }
        waiting = task
        try await task.value
    }

    private func follow() async throws {
        while let positions = index?.positions {
            let page = try await changes.after(positions)
            guard !page.isEmpty else { break }
            try await take(page)
            index?.move(to: page)
        }
        report()
        guard building == nil, let index else { return }
        if index.isOutdated(after: Self.longestAge, erasedFor: Self.longestErased) { startBuilding() }
    }

    private func take(_ page: TimelineChanges.Page) async throws {
        let persons = try await people.reading.store.people(page.keys, in: people.pool)
        var wanted: Set<ProfileID> = []
        for person in persons.values {
            for member in person.memberIDs where member != person.profileID { index?.remove(member) }
            if person.erasedAt != nil { index?.erase(person.profileID) }
            let isChanged = person.memberIDs.contains(where: page.changed.contains)
            if isChanged || index?.updatedAt(of: person.profileID) != person.updatedAt {
                wanted.insert(person.profileID)
            }
        }
        for ids in wanted.sorted().chunks(of: Self.pageSize) {
            for (id, record) in try await people.records(of: ids, mapping) {
                if let record { try put(record) } else { index?.remove(id) }
            }
        }
    }

    private func put(_ record: MatchingReading.Record) throws {
        index?.put(record)
        guard let count = index?.count, count > settings.mostProfiles else { return }
        giveUp()
        throw Absence.tooManyProfiles(limit: settings.mostProfiles)
    }

    /// Tells how much is held.
    private func report() {
        profilesHeld.record(index?.count ?? 0)
        bytesHeld.record(index?.bytes ?? 0)
    }

    private func giveUp() {
        index = nil
        report()
        tooLargeUntil = .now + Self.pauseWhenTooLarge
        logger.warning(
            "there are more profiles than look-ups of records hold",
            metadata: ["limit": "\(settings.mostProfiles)"])
    }

    // MARK: Making it

    private func startBuilding() {
        building = Task {
            defer { building = nil }
            do { try await build() } catch is Absence { giveUp() } catch {
                logger.warning("the index for look-ups is not made", metadata: ["error": "\(error)"])
                throw error
            }
        }
    }

    private func build() async throws {
        let positions = try await changes.heads()
        var columns = MatchingColumns(mapping)
        var position: ProfileID?
        while true {
            let page = try await people.page(after: position, limit: Self.pageSize, mapping)
            columns.append(page.records)
            guard columns.ids.count <= settings.mostProfiles else {
                throw Absence.tooManyProfiles(limit: settings.mostProfiles)
            }
            guard page.count == Self.pageSize, let last = page.last else { break }
            position = last
        }
        let (gathered, mapping) = (columns, mapping)
        index = await MatchingCompute.run { ProfileIndex(gathered, mapping, positions) }
        report()
    }
}

/// A thread at a time of its own.
final class MatchingExecutor: SerialExecutor {
    private let queue = DispatchQueue(label: "martlet.matching")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
}

extension Array {
    fileprivate func chunks(of size: Int) -> [[Element]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}
