import Synchronization

/// Tells a person why nothing moves, each reason once in a while.
final class NoticeBoard: Sendable {
    private let last = Mutex<(text: String, at: ContinuousClock.Instant)?>(nil)

    func say(_ text: String) {
        let isNew = last.withLock { last in
            let now = ContinuousClock.now
            if let last, last.text == text, now - last.at < .seconds(10) { return false }
            last = (text, now)
            return true
        }
        if isNew { StandardError.write("waiting: \(text)\n") }
    }
}
