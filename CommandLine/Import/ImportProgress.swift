import Foundation
import Glibc
import Models

/// Tells on standard error how an import goes: a line that is written over on a terminal, one now and then
/// elsewhere.
actor ImportProgress {
    private let total: Int
    private let started = ContinuousClock.now
    private let alreadyDone: Int
    private var done: Int
    private var events = 0
    private var said = ContinuousClock.now - .seconds(60)
    private let onTerminal = isatty(2) == 1

    /// - Parameter total: rows of the whole file; `done` of them are behind from earlier runs.
    init(total: Int, done: Int) {
        self.total = total
        self.done = done
        alreadyDone = done
    }

    func advance(rows: Int, events: Int) {
        done += rows
        self.events += events
        let now = ContinuousClock.now
        guard now - said > (onTerminal ? .milliseconds(300) : .seconds(10)) else { return }
        said = now
        let seconds = max(0.001, Double((now - started).milliseconds) / 1000)
        let rate = Double(done - alreadyDone) / seconds
        let left = rate > 0 ? Int(Double(max(0, total - done)) / rate) : 0
        let share = total > 0 ? min(100, done * 100 / total) : 100
        write(
            "\(share)%  \(done) of \(total) rows, \(Int(Double(self.events) / seconds)) events/s,"
                + " \(Duration.seconds(left).text) left")
    }

    func finish() { if onTerminal { StandardError.write("\r\u{1B}[K") } }

    private func write(_ text: String) { StandardError.write(onTerminal ? "\r\u{1B}[K\(text)" : text + "\n") }
}
