// Which alarms are of which view.

// ofMoney are those that the view Money can say more of.
export const ofMoney = ["statement_lacking", "statement_folder", "reconciliation_failed", "reconciliation_open", "reports_not_copied", "refunds_fail", "refunds_overdue", "cashier_fails", "callbacks_silent",
  "stray_payments"];
