import Foundation

/// Texts that look the same compare the same (Unicode Standard Annex #15).
extension String {
    /// Normalization form C.
    var canonicallyComposed: String { precomposedStringWithCanonicalMapping }
    /// Normalization form KC: also full-width letters, ligatures and the like.
    var compatiblyComposed: String { precomposedStringWithCompatibilityMapping }
}
