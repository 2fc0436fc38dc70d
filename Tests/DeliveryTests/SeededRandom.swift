import Foundation
import Models

/// A generator whose seed is printed, and given by `MARTLET_SEED` to repeat a run.
func seededGenerator(_ test: String) -> SeededGenerator {
    let given = ProcessInfo.processInfo.environment["MARTLET_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 0...UInt64.max)
    print("\(test): seed \(seed)")
    return SeededGenerator(seed: seed)
}
