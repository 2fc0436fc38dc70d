import Foundation
import Glibc
import Models

/// Tells on standard error how an import goes: a line that is written over on a terminal, one now and then elsewhere.
actor ImportProgress {
    private let verb: String
    private let started = ContinuousClock.now
    private var from: Int64?
    private var said = ContinuousClock.now - .seconds(60)
    private let onTerminal = isatty(2) == 1

    /// - Parameter verb: what is being done with the file.
    init(_ verb: String) { self.verb = verb }

    /// Of `total` bytes `done` are behind; `note` says more.
    func advance(to done: Int64, of total: Int64, note: String = "") {
        let first = from ?? done
        from = first
        let now = ContinuousClock.now
        guard now - said > (onTerminal ? .milliseconds(300) : .seconds(10)) else { return }
        said = now
        let seconds = max(0.001, Double((now - started).milliseconds) / 1000)
        let rate = Double(done - first) / seconds
        let share = total > 0 ? min(100, done * 100 / total) : 100
        var text = "\(verb) \(share)%"
        if !note.isEmpty { text += "  \(note)" }
        if rate > 0 { text += ", \(Duration.seconds(Int(Double(max(0, total - done)) / rate)).text) left" }
        write(text)
    }

    func finish() { if onTerminal { StandardError.write("\r\u{1B}[K") } }

    private func write(_ text: String) { StandardError.write(onTerminal ? "\r\u{1B}[K\(text)" : text + "\n") }
}
