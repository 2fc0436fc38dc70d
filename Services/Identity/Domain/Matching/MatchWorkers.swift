/// How the caller lets independent pieces of work run at the same time, `DispatchQueue.concurrentPerform` for one.
/// What comes out does not depend on it.
package struct MatchWorkers: Sendable {
    package typealias Run = @Sendable (_ count: Int, _ body: @Sendable (Int) -> Void) -> Void

    private let run: Run

    package init(_ run: @escaping Run) { self.run = run }

    /// One piece after the other.
    package static let alone = MatchWorkers { count, body in for index in 0..<count { body(index) } }

    /// The results in the order of the pieces.
    package func map<Result: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Result) -> [Result] {
        guard count > 0 else { return [] }
        return [Result](unsafeUninitializedCapacity: count) { buffer, initialised in
            // Each piece writes its own place and nobody reads before all are done.
            nonisolated(unsafe) let places = buffer
            run(count) { index in places.initializeElement(at: index, to: body(index)) }
            initialised = count
        }
    }
}
