import Foundation

/// The seed of random tests: printed once, and taken from MARTLET_SEED to repeat a run.
enum TestSeed {
    static let value: UInt64 = {
        let seed =
            ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
            ?? .random(in: 1...(1 << 32))
        print("MARTLET_SEED=\(seed)")
        return seed
    }()
}
