/// A piece of a template: text as it is, an output, or a tag.
struct LiquidToken: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case text
        case output
        case tag(name: String)
    }

    var kind: Kind
    /// Where the piece begins, for errors.
    var start: Int
    /// The text itself, what is put out, or the arguments of the tag.
    var content: Range<Int>
}
