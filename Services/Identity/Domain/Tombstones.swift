package import Models

/// Identifiers of people who were erased, with the time of it.
///
/// What happened before that and comes late (an import, a telephone that was offline, a replay) must make nobody of them
/// again. What happens after it is somebody new, of the same name perhaps.
package struct Tombstones: Sendable {
    private let erased: [Identifier: Instant]

    package init(_ erased: [Identifier: Instant] = [:]) { self.erased = erased }

    package var isEmpty: Bool { erased.isEmpty }

    /// Whether an observation is of somebody who has been erased since.
    ///
    /// The strongest identifier says whom it is of. One that leads to somebody who is there speaks for them, whatever
    /// erased address they mention. One that leads to nobody yet speaks against an erased device, which may have another
    /// owner by now, but not against an erased address.
    package func cover(_ observation: Observation, isKnown: (Identifier) -> Bool) -> Bool {
        var isNamed = false
        // What an alias call names besides comes last: it says of somebody that they were that as well.
        let others = [observation.previousUserID, observation.previousAnonymousID].compactMap { $0 }
        for identifier in observation.identifiers + others {
            if let at = erased[identifier], observation.at <= at {
                if !isNamed || ![.anonymousID, .deviceID].contains(identifier.kind) { return true }
            } else if isKnown(identifier) {
                return false
            } else {
                isNamed = true
            }
        }
        return false
    }
}
