import IdentityDomain
import Models

/// Profiles as they are looked up, with how far the timeline is taken in.
struct ProfileIndex: Sendable {
    private struct Entry {
        var place: Int
        var updatedAt: Instant
    }

    private var index: MatchIndex
    private var entries: [ProfileID: Entry]
    private var profiles: [ProfileID]
    private(set) var positions: [Shard: Int64]
    private var changes = 0
    private let built: Int
    private let builtAt = ContinuousClock.now
    /// When the first of those was erased whose values are still among the values that the index was made of.
    private var erasedAt: ContinuousClock.Instant?

    /// Learns the weights from the records and makes the index of them. Computes for long.
    init(_ columns: MatchingColumns, _ mapping: MatchMapping, _ positions: [Shard: Int64]) {
        let workers = MatchingCompute.workers
        let table = MatchTable(mapping.schema, columns: columns.columns, workers: workers)
        index = MatchIndex(RecordMatching(table, workers: workers), workers: workers)
        entries = Dictionary(
            columns.ids.indices.map { (columns.ids[$0], Entry(place: $0, updatedAt: columns.updatedAt[$0])) },
            uniquingKeysWith: { first, _ in first })
        profiles = columns.ids
        built = columns.ids.count
        self.positions = positions
    }

    var count: Int { entries.count }

    /// About how many bytes it takes.
    var bytes: Int {
        // A table of ids and entries is at most three quarters full.
        index.bytes + entries.capacity * 2 * MemoryLayout<(ProfileID, Entry)>.stride + profiles.capacity
            * MemoryLayout<ProfileID>.stride
    }

    func updatedAt(of id: ProfileID) -> Instant? { entries[id]?.updatedAt }

    /// Whether so much has changed, or so long ago, that the weights are to be learned anew, or somebody was erased so long
    /// ago that nothing of them may be in memory any longer.
    func isOutdated(after age: Duration, erasedFor longest: Duration) -> Bool {
        let now = ContinuousClock.now
        if let erasedAt, now - erasedAt >= longest { return true }
        return changes > max(10, built / 4) || changes > 0 && now - builtAt > age
    }

    mutating func put(_ record: MatchingReading.Record) {
        if let entry = entries[record.profileID] { index.remove(entry.place) }
        let place = index.add(record.values)
        if place == profiles.count {
            profiles.append(record.profileID)
        } else {
            profiles[place] = record.profileID
        }
        entries[record.profileID] = Entry(place: place, updatedAt: record.updatedAt)
        changes += 1
    }

    mutating func remove(_ id: ProfileID) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        index.remove(entry.place)
        changes += 1
    }

    /// Takes out somebody who was erased. They are found no more, but their values go only when the index is made anew.
    mutating func erase(_ id: ProfileID) {
        remove(id)
        erasedAt = erasedAt ?? .now
    }

    mutating func move(to page: TimelineChanges.Page) {
        positions.merge(page.positions) { max($0, $1) }
    }

    mutating func look(
        up values: [String?], policy: MatchPolicy, limit: Int
    ) -> [OnlineMatching.Candidate] {
        index.look(up: values, policy: policy, limit: limit).map {
            OnlineMatching.Candidate(profileID: profiles[$0.record], found: $0)
        }
    }
}
