import IngestionDomain
import Models

/// The last items of one source. Requests are kept whole as long as they can be, because keeping a list costs nothing.
struct RecentRing: Sendable {
    /// The items of one request that are kept.
    struct Delivery: Sendable {
        var receivedAt: Instant
        var items: [EventWriter.Item]
        var verdicts: [Verdict]
        var bytes: Int
        /// The number of the first of the items.
        var first: Int64 = 0
    }

    /// No other ring has had it, in any process.
    let id: Int64
    private var deliveries: [Delivery] = []
    private var count = 0
    private var bytes = 0
    private var next: Int64 = 0

    init(id: Int64) {
        self.id = id
    }

    /// Appends the items of a request after those of it that are skipped, and returns what had to make room.
    mutating func append(_ delivery: Delivery, skipping skipped: Int, _ limits: RecentItems.Limits)
        -> [Delivery]
    {
        next += Int64(skipped)
        guard !delivery.items.isEmpty else { return [] }
        var delivery = delivery
        delivery.first = next
        next += Int64(delivery.items.count)
        (count, bytes) = (count + delivery.items.count, bytes + delivery.bytes)
        var superfluous = 0
        for old in deliveries {
            guard count - old.items.count >= limits.items || bytes > limits.bytes else { break }
            (count, bytes) = (count - old.items.count, bytes - old.bytes)
            superfluous += 1
        }
        let released = Array(deliveries[..<superfluous])
        deliveries.removeFirst(superfluous)
        deliveries.append(delivery)
        return released
    }

    /// Forgets the items, not how many there were.
    mutating func clear() -> [Delivery] {
        defer { (deliveries, count, bytes) = ([], 0, 0) }
        return deliveries
    }

    var held: [RecentItems.Held] {
        deliveries.flatMap { delivery in
            zip(delivery.items, delivery.verdicts).enumerated().map { offset, pair in
                RecentItems.Held(
                    number: delivery.first + Int64(offset), receivedAt: delivery.receivedAt, item: pair.0,
                    verdict: pair.1)
            }
        }
    }
}

/// A ring for each of the sources that sent last: one that has sent nothing since the others came round makes room.
struct SourceSlots: Sendable {
    private struct Slot {
        var source: SourceID
        var ring: RecentRing
        var wasUsed = true
    }

    private let limit: Int
    private var slots: [Slot] = []
    private var places: [SourceID: Int] = [:]
    private var hand = 0
    /// Begins somewhere, so that no two processes give the same ids.
    private var nextID = Int64.random(in: 0..<(1 << 62))

    init(limit: Int) {
        self.limit = max(1, limit)
    }

    func ring(of source: SourceID) -> RecentRing? { places[source].map { slots[$0].ring } }

    mutating func withRing<T>(of source: SourceID, _ body: (inout RecentRing) -> T) -> T {
        let place = places[source] ?? makePlace(for: source)
        slots[place].wasUsed = true
        return body(&slots[place].ring)
    }

    mutating func clear() -> [RecentRing.Delivery] {
        slots.indices.flatMap { slots[$0].ring.clear() }
    }

    private mutating func makePlace(for source: SourceID) -> Int {
        nextID += 1
        let slot = Slot(source: source, ring: RecentRing(id: nextID))
        if slots.count < limit {
            slots.append(slot)
            places[source] = slots.count - 1
            return slots.count - 1
        }
        while slots[hand].wasUsed {
            slots[hand].wasUsed = false
            hand = (hand + 1) % limit
        }
        let place = hand
        hand = (hand + 1) % limit
        places[slots[place].source] = nil
        slots[place] = slot
        places[source] = place
        return place
    }
}
