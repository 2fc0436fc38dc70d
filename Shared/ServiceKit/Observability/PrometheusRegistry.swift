import CoreMetrics
import Foundation
import Synchronization

/// Collects swift-metrics and prints them in the Prometheus text format (version 0.0.4).
final class PrometheusRegistry: MetricsFactory {
    /// The one registry of a process, so that several services in one test process do not bootstrap twice.
    static let shared = PrometheusRegistry()
    private static let bootstrapped: Void = MetricsSystem.bootstrap(shared)

    static func bootstrap() { _ = bootstrapped }

    private struct Key: Hashable {
        let label: String
        let dimensions: String
    }

    private struct Store {
        var counters: [Key: PrometheusCounter] = [:]
        var gauges: [Key: PrometheusGauge] = [:]
        var summaries: [Key: PrometheusHistogram] = [:]
    }

    private let store = Mutex(Store())

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        let key = Key(label: Self.name(label), dimensions: Self.text(dimensions))
        return store.withLock { store in
            if let known = store.counters[key] { return known }
            let fresh = PrometheusCounter()
            store.counters[key] = fresh
            return fresh
        }
    }

    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        aggregate ? histogram(label, dimensions) as any RecorderHandler : gauge(label, dimensions)
    }

    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions)
    }

    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    /// The exposition of everything recorded so far.
    func exposition() -> String {
        let store = store.withLock { $0 }
        var lines: [String] = []
        Self.emit(
            store.counters.map { ($0.key.label, $0.key.dimensions, $0.value) }, type: "counter", into: &lines
        ) {
            name, labels, counter in ["\(name)\(Self.braces(labels)) \(counter.value)"]
        }
        Self.emit(
            store.gauges.map { ($0.key.label, $0.key.dimensions, $0.value) }, type: "gauge", into: &lines
        ) {
            name, labels, gauge in ["\(name)\(Self.braces(labels)) \(gauge.value)"]
        }
        Self.emit(
            store.summaries.map { ($0.key.label, $0.key.dimensions, $0.value) }, type: "histogram",
            into: &lines
        ) {
            name, labels, histogram in histogram.lines(name: name, labels: labels)
        }
        lines.append("martlet_process_resident_memory_bytes \(ProcessMemory.residentBytes())")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func emit<Handler>(
        _ entries: [(String, String, Handler)], type: String, into lines: inout [String],
        _ format: (String, String, Handler) -> [String]
    ) {
        for (name, group) in Dictionary(grouping: entries, by: \.0).sorted(by: { $0.key < $1.key }) {
            lines.append("# TYPE \(name) \(type)")
            for (_, labels, handler) in group.sorted(by: { $0.1 < $1.1 }) {
                lines += format(name, labels, handler)
            }
        }
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> PrometheusGauge {
        let key = Key(label: Self.name(label), dimensions: Self.text(dimensions))
        return store.withLock { store in
            if let known = store.gauges[key] { return known }
            let fresh = PrometheusGauge()
            store.gauges[key] = fresh
            return fresh
        }
    }

    private func histogram(_ label: String, _ dimensions: [(String, String)]) -> PrometheusHistogram {
        let key = Key(label: Self.name(label), dimensions: Self.text(dimensions))
        return store.withLock { store in
            if let known = store.summaries[key] { return known }
            let fresh = PrometheusHistogram()
            store.summaries[key] = fresh
            return fresh
        }
    }

    /// Label names of other packages may have dots, which Prometheus does not allow.
    private static func name(_ label: String) -> String {
        String(label.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") ? $0 : "_" })
    }

    private static func text(_ dimensions: [(String, String)]) -> String {
        dimensions.map { key, value in
            let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing(
                "\n", with: "\\n")
            return "\(name(key))=\"\(escaped)\""
        }.joined(separator: ",")
    }

    static func braces(_ labels: String) -> String { labels.isEmpty ? "" : "{\(labels)}" }
}

final class PrometheusCounter: CounterHandler {
    private let count = Atomic<Int64>(0)
    var value: Int64 { count.load(ordering: .relaxed) }
    func increment(by amount: Int64) { count.wrappingAdd(amount, ordering: .relaxed) }
    func reset() { count.store(0, ordering: .relaxed) }
}

final class PrometheusGauge: MeterHandler, RecorderHandler {
    private let current = Mutex<Double>(0)
    var value: Double { current.withLock { $0 } }
    func set(_ value: Int64) { current.withLock { $0 = Double(value) } }
    func set(_ value: Double) { current.withLock { $0 = value } }
    func increment(by amount: Double) { current.withLock { $0 += amount } }
    func decrement(by amount: Double) { current.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(value) }
    func record(_ value: Double) { set(value) }
}

/// A histogram in seconds (for timers) or in the recorder's own unit.
final class PrometheusHistogram: TimerHandler, RecorderHandler {
    private static let bounds: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]

    private struct State {
        var buckets = [Int64](repeating: 0, count: PrometheusHistogram.bounds.count)
        var count: Int64 = 0
        var sum = 0.0
    }

    private let state = Mutex(State())

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        state.withLock { state in
            if let index = Self.bounds.firstIndex(where: { value <= $0 }) { state.buckets[index] += 1 }
            state.count += 1
            state.sum += value
        }
    }

    func lines(name: String, labels: String) -> [String] {
        let state = state.withLock { $0 }
        let prefix = labels.isEmpty ? "" : labels + ","
        var cumulative: Int64 = 0
        var lines = zip(Self.bounds, state.buckets).map { bound, count in
            cumulative += count
            return "\(name)_bucket{\(prefix)le=\"\(bound)\"} \(cumulative)"
        }
        lines.append("\(name)_bucket{\(prefix)le=\"+Inf\"} \(state.count)")
        lines.append("\(name)_sum\(PrometheusRegistry.braces(labels)) \(state.sum)")
        lines.append("\(name)_count\(PrometheusRegistry.braces(labels)) \(state.count)")
        return lines
    }
}

/// The process's own memory, from Linux's `/proc`.
enum ProcessMemory {
    /// Resident bytes, 0 where it cannot be told.
    static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }
}
