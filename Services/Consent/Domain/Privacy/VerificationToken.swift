package import Models

/// The secret by which somebody shows that a mail reached them: single use, expiring, and tried only so often.
///
/// What is kept is its digest. It is 32 random bytes, so a plain SHA-256 is as hard to turn round as a slow hash.
package struct VerificationToken: Hashable, Sendable {
    package let digest: [UInt8]
    package let expiresAt: Instant
    package private(set) var failures: Int

    /// How long one is good for.
    package static let lifetime: Duration = .hours(48)
    /// How often it may be tried in vain.
    package static let mostFailures = 5
    /// How many may be issued for one request.
    package static let mostIssued = 5

    package init(digest: [UInt8], expiresAt: Instant, failures: Int = 0) {
        self.digest = digest
        self.expiresAt = expiresAt
        self.failures = failures
    }

    /// Whether `tried` is the token, at an instant; a wrong one counts. Whatever is wrong, the answer is the same.
    package mutating func accepts(_ tried: [UInt8], at now: Instant) -> Bool {
        let isUsable = failures < Self.mostFailures && now < expiresAt
        let isEqual = Self.areEqual(tried, digest)
        if !(isUsable && isEqual) {
            failures = min(failures + 1, Self.mostFailures)
            return false
        }
        return true
    }

    /// Takes as long wherever the two differ.
    private static func areEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
