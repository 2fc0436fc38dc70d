import IngestionDomain
import Models
import Synchronization

/// The last items of each source with their verdicts, in the memory of this instance.
///
/// It stands in the way of every request, so it keeps what is there already and makes nothing of it: an item costs far
/// less than a microsecond. Nothing of it goes anywhere unless somebody watches.
final class RecentItems: Sendable {
    /// How much is held: items and bytes of a source, as they came, and sources.
    struct Limits: Sendable {
        var items = 100
        var bytes = 128 << 10
        var sources = 64
    }

    /// An item that is held.
    struct Held: Sendable {
        /// Its place among all items of its ring, without gaps.
        let number: Int64
        let receivedAt: Instant
        let item: EventWriter.Item
        let verdict: Verdict
    }

    private struct State {
        var slots: SourceSlots
        /// The sources that somebody watches.
        var watched: Set<SourceID> = []
        /// How often everything was cleared.
        var generation = 0
        /// The erasures in the database that were heard of here; nil while nothing was.
        var erasures: Int64?
    }

    private let limits: Limits
    /// What must not be shown, where there is anything that mustn't.
    private let hides: @Sendable () -> (@Sendable (EventWriter.Item) -> Bool)?
    private let state: Mutex<State>
    private let wake: AsyncStream<Void>.Continuation
    /// Yields when there is something to publish; for one reader.
    let wakes: AsyncStream<Void>

    init(
        limits: Limits = Limits(),
        hides: @escaping @Sendable () -> (@Sendable (EventWriter.Item) -> Bool)? = { nil }
    ) {
        self.limits = limits
        self.hides = hides
        state = Mutex(State(slots: SourceSlots(limit: limits.sources)))
        (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: For those who take items

    /// To be read before items are written, and given to ``note``: what was written before an erasure and is noted
    /// after it must not stay.
    var generation: Int { state.withLock { $0.generation } }

    /// Notes items once they are committed. `size` tells the bytes of the item at a place, roughly.
    func note(
        _ items: [EventWriter.Item], _ verdicts: [Verdict], of source: SourceID, at receivedAt: Instant,
        since generation: Int, size: (Int) -> Int
    ) {
        guard !items.isEmpty, items.count == verdicts.count else { return }
        if let hides = hides() {
            let shown = items.indices.filter { !hides(items[$0]) }
            hold(
                shown.map { items[$0] }, shown.map { verdicts[$0] }, of: source, at: receivedAt,
                since: generation
            ) {
                size(shown[$0])
            }
        } else {
            hold(items, verdicts, of: source, at: receivedAt, since: generation, size: size)
        }
    }

    private func hold(
        _ items: [EventWriter.Item], _ verdicts: [Verdict], of source: SourceID, at receivedAt: Instant,
        since generation: Int, size: (Int) -> Int
    ) {
        guard !items.isEmpty else { return }
        // What the end of this delivery would push out at once is left out. Too large an item is not held, but counted.
        var (start, bytes) = (items.count, 0)
        while start > 0, items.count - start < limits.items {
            let more = bytes + size(start - 1)
            guard more <= limits.bytes else { break }
            (start, bytes) = (start - 1, more)
        }
        let delivery = RecentRing.Delivery(
            receivedAt: receivedAt, items: start == 0 ? items : Array(items[start...]),
            verdicts: start == 0 ? verdicts : Array(verdicts[start...]), bytes: bytes)
        // Freed after the lock, because that takes longer than it is to be held.
        let (isWatched, _) = state.withLock { state -> (Bool, [RecentRing.Delivery]) in
            guard state.generation == generation else { return (false, []) }
            let released = state.slots.withRing(of: source) {
                $0.append(delivery, skipping: start, limits)
            }
            return (!state.watched.isEmpty && state.watched.contains(source), released)
        }
        if isWatched { wakeUp() }
    }

    // MARK: For the one who publishes

    var watched: Set<SourceID> { state.withLock { $0.watched } }

    /// From now on just these are published.
    func watch(_ sources: Set<SourceID>) {
        state.withLock { $0.watched = sources }
        if !sources.isEmpty { wakeUp() }
    }

    /// There is something to publish.
    func wakeUp() { wake.yield() }

    /// What is held of a source, in its order, and since how many erasures nothing older is; nil when nothing can be
    /// published.
    func held(of source: SourceID) -> (ring: Int64, erasures: Int64, items: [Held])? {
        let found = state.withLock { state -> (RecentRing, Int64)? in
            guard let erasures = state.erasures, let ring = state.slots.ring(of: source) else { return nil }
            return (ring, erasures)
        }
        return found.map { ($0.0.id, $0.1, $0.0.held) }
    }

    /// Forgets everything when there were more erasures than was known here.
    func heard(erasures: Int64) {
        _ = state.withLock { state -> [RecentRing.Delivery] in
            guard state.erasures != erasures else { return [] }
            state.erasures = erasures
            state.generation += 1
            return state.slots.clear()
        }
    }
}
