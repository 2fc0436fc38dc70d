package import Models

/// What a rendering depends on beside the template and its data.
package struct LiquidEnvironment: Hashable, Sendable {
    /// Output is escaped for HTML unless it went through `raw`.
    package var escapesHTML: Bool
    /// What `'now' | date:` gives.
    package var now: Instant
    package var limits: LiquidLimits

    package init(escapesHTML: Bool, now: Instant, limits: LiquidLimits = LiquidLimits()) {
        (self.escapesHTML, self.now, self.limits) = (escapesHTML, now, limits)
    }
}
