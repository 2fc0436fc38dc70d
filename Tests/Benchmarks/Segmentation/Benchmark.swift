import Foundation
import Models
import SegmentationDomain

struct BenchmarkError: Error {
    let text: String
}

/// What `bench_segmentation.py` runs: the real deciders over made-up events in memory.
///
///     SegmentationBenchmark generate FILE.csv EVENTS PROFILES
///     SegmentationBenchmark population FILE.csv RULES.json OUT.json REPEATS [THREADS]
///     SegmentationBenchmark fold FILE.csv RULES.json OUT.json REPEATS [THREADS]
///     SegmentationBenchmark live SEGMENTS EVENTS PROFILES
///     SegmentationBenchmark permits SEGMENTS EVENTS PROFILES
///     SegmentationBenchmark memory PROFILES EVENTS_EACH
///
/// `population` decides in bulk, `fold` event by event as live. Both wait for a line on their input before each run, so that
/// runs of others can lie between them.
@main
enum Benchmark {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        let texts = Array(arguments.dropFirst())
        let numbers = texts.map { Int($0) ?? 0 }
        let counts = numbers.filter { $0 > 0 }.count
        switch (arguments.first, texts.count) {
        case ("generate", 3) where counts == 2:
            let events = ShopEvent.population(of: numbers[2], events: numbers[1], seed: 42)
            let text = "profile,happened,name,category,sku,total\n" + events.lazy.map(\.line).joined()
            try text.write(toFile: texts[0], atomically: true, encoding: .utf8)
        case ("population", 4...5) where counts == texts.count - 3:
            let population = try Population(texts[0])
            try decide(texts[1], texts[2], numbers[3], numbers.dropFirst(4).first ?? 2, population.members)
        case ("fold", 4...5) where counts == texts.count - 3:
            let fold = try Fold(texts[0])
            try decide(texts[1], texts[2], numbers[3], numbers.dropFirst(4).first ?? 2, fold.members)
        case ("live", 3) where counts == 3:
            print(try Live.run(segments: numbers[0], events: numbers[1], profiles: numbers[2]).compact)
        case ("permits", 3) where counts == 3:
            print(try Permits.run(segments: numbers[0], events: numbers[1], profiles: numbers[2]).compact)
        case ("memory", 2) where counts == 2:
            print(try StateMemory.run(profiles: numbers[0], eventsEach: numbers[1]).compact)
        default:
            FileHandle.standardError.write(
                Data(
                    "SegmentationBenchmark generate | population | fold | live | permits | memory; see Benchmark.swift\n"
                        .utf8)
            )
            exit(2)
        }
    }

    private static func decide(
        _ rules: String, _ out: String, _ repeats: Int, _ threads: Int,
        _ members: ([SegmentDefinition], Int) -> [String: [Int32]]
    ) throws {
        announce("ready")
        for run in 0..<repeats {
            guard readLine() != nil else { return }
            var found: [String: [Int32]] = [:]
            let clock = ContinuousClock()
            let taken = try clock.measure {
                // Reading the rules belongs to it.
                found = members(try segments(in: rules), threads)
            }
            if run == 0 {
                let json = JSON.object(found.mapValues { .array($0.map { .integer(Int64($0)) }) })
                try json.compact.write(toFile: out, atomically: true, encoding: .utf8)
            }
            announce("\(taken / .seconds(1))")
        }
    }

    private static func announce(_ line: String) {
        print(line)
        fflush(nil)
    }
}
