import Foundation
import Models

/// A generator seeded by `MARTLET_SEED`, or anew; the seed is printed so that a failure can be repeated.
func seededGenerator(_ test: String = #function) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 1...1 << 40)
    print("\(test): MARTLET_SEED=\(seed)")
    return SeededGenerator(seed: seed)
}
