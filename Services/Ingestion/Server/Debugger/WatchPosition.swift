/// How far a watcher has come.
struct WatchPosition: Hashable, Sendable {
    /// The last id that was read.
    var id: Int64 = 0
    /// The highest number that was seen of each ring.
    var seen: [Int64: Int64] = [:]

    /// Goes on to an item. False when it was seen before: what a ring holds is published again for a new watcher.
    /// `missed` are items of the same ring that were never published, or pruned before they were read.
    mutating func advance(to item: PublishedItem) -> (isNew: Bool, missed: Int64) {
        id = max(id, item.id)
        guard let last = seen[item.ring] else {
            seen[item.ring] = item.number
            return (true, item.missed)
        }
        guard item.number > last else { return (false, 0) }
        seen[item.ring] = item.number
        return (true, item.number - last - 1)
    }
}
