/// Which purposes somebody means who objects without naming any.
package enum ObjectedPurposes {
    /// To an objection, direct marketing; to an opting out, what is sold or shared. Empty where no purpose is known to be that.
    package static func meant(by kind: PrivacyRequestKind, among purposes: [Purpose]) -> [String] {
        switch kind {
        case .objection:
            purposes.filter { $0.isDirectMarketing || $0.id == ConsentSignal.defaultPurpose }.map(\.id)
                .sorted()
        case .optOut: purposes.filter(\.isSaleOrSharing).map(\.id).sorted()
        default: []
        }
    }
}
