#if canImport(Glibc)
    private import Glibc
#elseif canImport(Musl)
    private import Musl
#else
    private import Darwin
#endif

/// Weights are in bits.
enum Logarithm {
    static func base2(_ value: Double) -> Double { log2(value) }
    static func base2(_ value: Float) -> Float { log2f(value) }
    static func power2(_ value: Float) -> Float { exp2f(value) }

    /// The probability whose odds are two to the weight.
    static func probability(ofWeight weight: Double) -> Double { 1 / (1 + exp2(-weight)) }
}
