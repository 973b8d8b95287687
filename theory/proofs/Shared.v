(* soberclip: what the claims' files share: Phi, the normal distribution function, and how to see signs. *)
From Coq Require Export Reals Lra Psatz.
From Coquelicot Require Export Coquelicot.
From Interval Require Import Specific_ops Specific_stdz.
From Interval Require Export Tactic.
Open Scope R_scope.

(* The tactics `interval` and `integral` on numbers m 2^e with m and e in Z. They add no axiom if i_prec is given;
   without it they use the machine's floats. *)
Module Binary := SpecificFloat StdZRadix2.
Module Intervals := IntervalTactic Binary.
Export Intervals.
Ltac bounded := interval with (i_prec 40).
Ltac bounded_integral := integral with (i_prec 40).

Ltac nonneg := first [ lra | lazymatch goal with
  | H : 0 <= ?a |- 0 <= ?a => exact H
  | |- 0 <= _ + _ => apply Rplus_le_le_0_compat; nonneg
  | |- 0 <= _ * _ => apply Rmult_le_pos; nonneg
  | |- 0 <= _ / _ => apply Rdiv_le_0_compat; [nonneg | positive]
  | |- 0 <= _ ^ 2 => apply pow2_ge_0
  | |- 0 <= _ ^ _ => apply pow_le; nonneg
  end
  | match goal with H : ?a <= ?x <= _ |- 0 <= ?x => apply (Rle_trans _ a); [nonneg | apply H] end ]
with positive := first [ lra | lazymatch goal with
  | |- 0 < _ + _ => first [ apply Rplus_lt_le_0_compat; [positive | nonneg]
                          | apply Rplus_le_lt_0_compat; [nonneg | positive] ]
  | |- 0 < _ * _ => apply Rmult_lt_0_compat; positive
  | |- 0 < _ / _ => apply Rdiv_lt_0_compat; positive
  | |- 0 < _ ^ _ => apply pow_lt; positive
  | |- 0 < sqrt _ => apply sqrt_lt_R0; positive
  end
  | match goal with H : ?a <= ?x <= _ |- 0 < ?x => apply (Rlt_le_trans _ a); [positive | apply H] end
  | nra ].

Ltac nonzero := first [ apply Rgt_not_eq; unfold Rgt; positive | apply Rlt_not_eq; lra ].

Definition phi (x : R) : R := exp (- x ^ 2 / 2) / sqrt (2 * PI).

(* The integral of phi from minus infinity to 0 is 1/2. *)
Definition Phi (x : R) : R := 1 / 2 + RInt phi 0 x.

(* The papers' laws, with mu_inv = 1 and no noise. [W] Theorem 6.2 prints an error of the counter group of at least
   Phi(-k1), and an accuracy of the common group of at least Phi(-k2). *)
Definition k1 (p_spu mu_spu sigma_inv sigma_spu : R) : R :=
  ((((sigma_inv ^ 2) + 2) - ((2 * mu_spu) * p_spu)) / (sqrt ((((1 + (sigma_inv ^ 2)) ^ 2) * (sigma_inv ^ 2)) + (((((2 * mu_spu) * p_spu) - 1) ^ 2) * (sigma_spu ^ 2))))).
Definition k2 (p_spu mu_spu sigma_inv sigma_spu : R) : R :=
  (((((- (2)) * mu_spu) * p_spu) - (sigma_inv ^ 2)) / (sqrt ((((1 + (sigma_inv ^ 2)) ^ 2) * (sigma_inv ^ 2)) + (((((2 * mu_spu) * p_spu) - 1) ^ 2) * (sigma_spu ^ 2))))).
(* What is true: with the name prompt the error is Phi(-k1_star), the accuracy Phi(-k2_star). *)
Definition k1_star (p_spu mu_spu sigma_inv sigma_spu : R) : R :=
  (((1 + (sigma_inv ^ 2)) - ((mu_spu ^ 2) * ((2 * p_spu) - 1))) / (sqrt ((((1 + (sigma_inv ^ 2)) ^ 2) * (sigma_inv ^ 2)) + (((mu_spu ^ 2) * (((2 * p_spu) - 1) ^ 2)) * (sigma_spu ^ 2))))).
Definition k2_star (p_spu mu_spu sigma_inv sigma_spu : R) : R :=
  (((- (1)) * ((1 + (sigma_inv ^ 2)) + ((mu_spu ^ 2) * ((2 * p_spu) - 1)))) / (sqrt ((((1 + (sigma_inv ^ 2)) ^ 2) * (sigma_inv ^ 2)) + (((mu_spu ^ 2) * (((2 * p_spu) - 1) ^ 2)) * (sigma_spu ^ 2))))).
(* Reliance on the background, the ratio of a rule's weights, with the name prompt and with the mean prompt. *)
Definition t_name (p_spu mu_spu sigma_inv sigma_spu : R) : R :=
  ((mu_spu * ((2 * p_spu) - 1)) / (1 + (sigma_inv ^ 2))).
Definition t_mean (p_spu mu_spu sigma_inv sigma_spu : R) : R :=
  (((mu_spu * ((2 * p_spu) - 1)) * (1 + ((mu_spu ^ 2) + (sigma_spu ^ 2)))) / ((1 + (sigma_inv ^ 2)) + ((mu_spu ^ 2) * (((2 * p_spu) - 1) ^ 2)))).

Lemma phi_continuous x : continuous phi x.
Proof. apply (@ex_derive_continuous R_AbsRing R_NormedModule). unfold phi. auto_derive. auto. Qed.

Lemma phi_integrable a b : ex_RInt phi a b.
Proof. apply (@ex_RInt_continuous R_CompleteNormedModule). intros. apply phi_continuous. Qed.

Lemma phi_positive x : 0 <= phi x.
Proof. unfold phi. apply Rlt_le, Rdiv_lt_0_compat; [apply exp_pos|]. apply sqrt_lt_R0. generalize PI_RGT_0. lra. Qed.

Lemma phi_at_most x : phi x <= 2 / 5.
Proof. unfold phi.
  assert (0 < exp (- x ^ 2 / 2) <= 1).
  { split. apply exp_pos. rewrite <- exp_0. assert (- x ^ 2 / 2 <= 0) by nra.
    destruct (Rle_lt_or_eq_dec _ _ H) as [l | ->]; [apply Rlt_le, exp_increasing, l | apply Rle_refl]. }
  assert (5 / 2 <= sqrt (2 * PI)) by bounded.
  assert (0 < / sqrt (2 * PI) <= 2 / 5).
  { split. apply Rinv_0_lt_compat; lra. replace (2 / 5) with (/ (5 / 2)) by field. apply Rinv_le_contravar; lra. }
  unfold Rdiv. nra. Qed.

Lemma Phi_difference a b : Phi b - Phi a = RInt phi a b.
Proof. unfold Phi. rewrite <- (RInt_Chasles phi 0 a b) by apply phi_integrable. unfold plus; simpl. lra. Qed.

Lemma Phi_increasing a b : a <= b -> Phi a <= Phi b.
Proof. intros. enough (0 <= RInt phi a b) by (rewrite <- Phi_difference in H0; lra).
  apply RInt_ge_0; auto using phi_integrable. intros. apply phi_positive. Qed.

Lemma Phi_slope a b : a <= b -> Phi b - Phi a <= 2 / 5 * (b - a).
Proof. intros. rewrite Phi_difference.
  replace (2 / 5 * (b - a)) with (RInt (fun _ => 2 / 5) a b)
    by (rewrite RInt_const; unfold scal; simpl; unfold mult; simpl; lra).
  apply RInt_le; auto using phi_integrable, ex_RInt_const. intros. apply phi_at_most. Qed.

Lemma Phi_within a b t : 0 <= t -> a - b <= 5 / 2 * t -> Phi a - Phi b <= t.
Proof. intros. destruct (Rle_dec a b) as [l | n].
  - apply Phi_increasing in l. lra.
  - assert (Phi a - Phi b <= 2 / 5 * (a - b)) by (apply Phi_slope; lra). lra. Qed.

Lemma Phi_below a b t : 0 <= t -> a - b <= 0 -> Phi a - Phi b <= t.
Proof. intros. assert (Phi a <= Phi b) by (apply Phi_increasing; lra). lra. Qed.

Lemma Phi_0 : Phi 0 = 1 / 2.
Proof. unfold Phi. rewrite RInt_point. unfold zero; simpl. lra. Qed.

Lemma in_unit a b x : a <= x <= b -> exists u, 0 <= u <= 1 /\ x = a + (b - a) * u.
Proof. intros. destruct (Req_dec a b) as [-> | n].
  - exists 0. lra.
  - exists ((x - a) / (b - a)). split; [|field; lra].
    split; [apply Rdiv_le_0_compat; lra|]. apply (Rmult_le_reg_r (b - a)); [lra|].
    unfold Rdiv. rewrite Rmult_assoc, Rinv_l; lra. Qed.

Lemma same_score c n1 q1 n2 q2 : 0 < c -> 0 < q2 -> n1 = c * n2 -> q1 = c ^ 2 * q2 -> n1 / sqrt q1 = n2 / sqrt q2.
Proof. intros Hc Hq -> ->. rewrite sqrt_mult_alt by nra. rewrite sqrt_pow2 by lra.
  assert (0 < sqrt q2) by (apply sqrt_lt_R0; lra). field. lra. Qed.

(* A linear rule with the weights u > 0 and w on the animal and the background has the counter score
   (u a - w b)/sqrt(u^2 S + w^2 T). It falls in the reliance t = w/u. *)
Lemma T1_reliance a b S T t t' : 0 <= a -> 0 <= b -> 0 < S -> 0 <= T -> 0 <= t <= t' ->
  (a - t' * b) / sqrt (S + t' ^ 2 * T) <= (a - t * b) / sqrt (S + t ^ 2 * T).
Proof. intros Ha Hb HS HT Ht.
  assert (Hq : 0 < S + t ^ 2 * T) by (assert (0 <= t ^ 2 * T) by (apply Rmult_le_pos; [apply pow2_ge_0|lra]); lra).
  assert (Hr : S + t ^ 2 * T <= S + t' ^ 2 * T).
  { assert (t ^ 2 <= t' ^ 2) by (apply pow_incr; lra). nra. }
  set (q := S + t ^ 2 * T) in *. set (r := S + t' ^ 2 * T) in *.
  assert (Hsq : 0 < sqrt q) by (apply sqrt_lt_R0; lra).
  assert (Hsr : sqrt q <= sqrt r) by (apply sqrt_le_1_alt; lra).
  assert (Hm : t * b <= t' * b) by nra.
  apply (Rmult_le_reg_r (sqrt q * sqrt r)); [nra|].
  replace ((a - t' * b) / sqrt r * (sqrt q * sqrt r)) with ((a - t' * b) * sqrt q) by (field; lra).
  replace ((a - t * b) / sqrt q * (sqrt q * sqrt r)) with ((a - t * b) * sqrt r) by (field; lra).
  destruct (Rle_dec 0 (a - t * b)) as [l | n].
  - nra.
  - enough ((t * b - a) * sqrt r <= (t' * b - a) * sqrt q) by lra.
    apply Rsqr_incr_0_var; [|nra]. unfold Rsqr.
    replace ((t * b - a) * sqrt r * ((t * b - a) * sqrt r)) with ((t * b - a) ^ 2 * (sqrt r * sqrt r)) by ring.
    replace ((t' * b - a) * sqrt q * ((t' * b - a) * sqrt q)) with ((t' * b - a) ^ 2 * (sqrt q * sqrt q)) by ring.
    rewrite !sqrt_sqrt by lra. unfold q, r.
    assert ((t * b - a) ^ 2 * S <= (t' * b - a) ^ 2 * S) by (apply Rmult_le_compat_r; [lra | apply pow_incr; lra]).
    assert (((t * b - a) * t') ^ 2 * T <= ((t' * b - a) * t) ^ 2 * T).
    { apply Rmult_le_compat_r; [lra|]. apply pow_incr. split; [apply Rmult_le_pos; lra | nra]. }
    nra. Qed.

Lemma T1 a b S T u w u' w' : 0 <= a -> 0 <= b -> 0 < S -> 0 <= T -> 0 < u -> 0 < u' -> 0 <= w -> 0 <= w' ->
  w * u' <= w' * u ->
  (u' * a - w' * b) / sqrt (u' ^ 2 * S + w' ^ 2 * T) - (u * a - w * b) / sqrt (u ^ 2 * S + w ^ 2 * T) <= 0.
Proof. intros.
  assert (Hq : forall s, 0 < S + s ^ 2 * T) by (intros; assert (0 <= s ^ 2 * T) by nonneg; lra).
  rewrite (same_score u' (u' * a - w' * b) (u' ^ 2 * S + w' ^ 2 * T) (a - w' / u' * b) (S + (w' / u') ^ 2 * T)); [|lra|apply Hq|field; lra|field; lra].
  rewrite (same_score u (u * a - w * b) (u ^ 2 * S + w ^ 2 * T) (a - w / u * b) (S + (w / u) ^ 2 * T)); [|lra|apply Hq|field; lra|field; lra].
  enough ((a - w' / u' * b) / sqrt (S + (w' / u') ^ 2 * T) <= (a - w / u * b) / sqrt (S + (w / u) ^ 2 * T)) by lra.
  apply T1_reliance; try assumption. split; [nonneg|].
  apply (Rmult_le_reg_r (u * u')); [nra|].
  replace (w / u * (u * u')) with (w * u') by (field; lra).
  replace (w' / u' * (u * u')) with (w' * u) by (field; lra). assumption. Qed.

Lemma score_sign n q : 0 < q -> n <= 0 -> n / sqrt q <= 0.
Proof. intros. assert (0 < / sqrt q) by (apply Rinv_0_lt_compat, sqrt_lt_R0, H). unfold Rdiv. nra. Qed.

Lemma positive_score n q : 0 < q -> - n <= 0 -> 0 <= n / sqrt q.
Proof. intros. replace (n / sqrt q) with (- (- n / sqrt q)) by (unfold Rdiv; ring). generalize (score_sign (- n) q). lra. Qed.

Lemma same_sign f w : 0 < w -> f / w <= 0 -> f <= 0.
Proof. intros. replace f with (f / w * w) by (field; lra). nra. Qed.

Lemma quotient_sign n d : 0 <= n -> 0 < d -> - (n / d) <= 0.
Proof. intros. assert (0 <= n / d) by (apply Rdiv_le_0_compat; assumption). lra. Qed.

Lemma Phi_between y z a b x : a <= Phi y -> Phi z <= b -> y <= x <= z -> a <= Phi x <= b.
Proof. intros. assert (Phi y <= Phi x <= Phi z) by (split; apply Phi_increasing; lra). lra. Qed.

Lemma phi_even x : phi (- x) = phi x.
Proof. unfold phi. do 3 f_equal. ring. Qed.

Lemma phi_falls x y : 0 <= x <= y -> phi y <= phi x.
Proof. intros. unfold phi. apply Rmult_le_compat_r.
  - apply Rlt_le, Rinv_0_lt_compat, sqrt_lt_R0. generalize PI_RGT_0. lra.
  - destruct (Req_dec x y) as [-> | n]; [lra | apply Rlt_le, exp_increasing; nra]. Qed.

(* Phi is concave from 0 on, and steeper below 0. *)
Lemma Phi_balanced x h : 0 <= x -> 0 <= h -> (Phi (x + h) + Phi (x - h)) / 2 <= Phi x.
Proof. intros. enough (Phi (x + h) - Phi x <= Phi x - Phi (x - h)) by lra. rewrite !Phi_difference.
  assert (E : RInt phi (x - h) x = RInt (fun u => phi (2 * x - u)) x (x + h)).
  { replace (RInt (fun u => phi (2 * x - u)) x (x + h)) with (RInt (fun u => scal (-1) (- phi (-1 * u + 2 * x))) x (x + h)).
    - rewrite (RInt_comp_lin (fun v => - phi v) (-1) (2 * x)).
      + replace (-1 * x + 2 * x) with x by ring. replace (-1 * (x + h) + 2 * x) with (x - h) by ring.
        rewrite <- (opp_RInt_swap phi) by apply phi_integrable. symmetry. apply (RInt_opp phi), phi_integrable.
      + apply (@ex_RInt_opp R_NormedModule). apply phi_integrable.
    - apply RInt_ext. intros. unfold scal; simpl; unfold mult; simpl. replace (-1 * x0 + 2 * x) with (2 * x - x0) by ring. ring. }
  rewrite E. apply RInt_le; [lra | apply phi_integrable | | ].
  - apply (@ex_RInt_continuous R_CompleteNormedModule). intros. apply (continuous_comp (fun u => 2 * x - u) phi).
    + apply (@ex_derive_continuous R_AbsRing R_NormedModule). auto_derive. auto.
    + apply phi_continuous.
  - intros u Hu. destruct (Rle_lt_dec 0 (2 * x - u)) as [l | l].
    + apply phi_falls. lra.
    + rewrite <- (phi_even (2 * x - u)). apply phi_falls. lra. Qed.

(* n / sqrt q <= m / sqrt r, in three ways. *)
Lemma scores_by_squares n q m r : 0 < q -> 0 < r -> 0 <= m -> n ^ 2 * r - m ^ 2 * q <= 0 -> n / sqrt q - m / sqrt r <= 0.
Proof. intros Hq Hr Hm H. assert (0 < sqrt q) by (apply sqrt_lt_R0; assumption).
  assert (0 < sqrt r) by (apply sqrt_lt_R0; assumption).
  enough (n * sqrt r <= m * sqrt q).
  { replace (n / sqrt q - m / sqrt r) with ((n * sqrt r - m * sqrt q) / (sqrt q * sqrt r)) by (field; lra).
    assert (0 < / (sqrt q * sqrt r)) by (apply Rinv_0_lt_compat, Rmult_lt_0_compat; assumption). unfold Rdiv. nra. }
  destruct (Rle_dec n 0) as [l | l]; [assert (0 <= m * sqrt q) by (apply Rmult_le_pos; lra); nra|].
  apply Rsqr_incr_0_var; [|apply Rmult_le_pos; lra]. unfold Rsqr.
  replace (n * sqrt r * (n * sqrt r)) with (n ^ 2 * (sqrt r * sqrt r)) by ring.
  replace (m * sqrt q * (m * sqrt q)) with (m ^ 2 * (sqrt q * sqrt q)) by ring. rewrite !sqrt_sqrt by lra. lra. Qed.

Lemma scores_by_opposites n q m r : 0 < q -> 0 < r -> n <= 0 -> m ^ 2 * q - n ^ 2 * r <= 0 -> n / sqrt q - m / sqrt r <= 0.
Proof. intros. replace (n / sqrt q - m / sqrt r) with (- m / sqrt r - - n / sqrt q) by (unfold Rdiv; ring).
  apply scores_by_squares; [assumption | assumption | lra|].
  replace ((- m) ^ 2 * q - (- n) ^ 2 * r) with (m ^ 2 * q - n ^ 2 * r) by ring. assumption. Qed.

Lemma scores_apart n q m r : 0 < q -> 0 < r -> n <= 0 -> - m <= 0 -> n / sqrt q - m / sqrt r <= 0.
Proof. intros Hq Hr Hn Hm. generalize (score_sign n q Hq Hn) (score_sign (- m) r Hr Hm). unfold Rdiv. lra. Qed.

Lemma scores_above c n q m r : 0 < c -> 0 < q -> 0 < r -> 0 < n -> n - c * m <= 0 -> c ^ 2 * r - q <= 0 ->
  n / sqrt q - m / sqrt r <= 0.
Proof. intros Hc Hq Hr Hn Hm H. assert (0 < sqrt q) by (apply sqrt_lt_R0; assumption).
  assert (0 < sqrt r) by (apply sqrt_lt_R0; assumption). assert (0 < m) by nra.
  assert (Hs : c * sqrt r <= sqrt q).
  { rewrite <- (sqrt_pow2 c) by lra. rewrite <- sqrt_mult_alt by nra. apply sqrt_le_1_alt. lra. }
  replace (n / sqrt q - m / sqrt r) with ((n * sqrt r - m * sqrt q) / (sqrt q * sqrt r)) by (field; lra).
  assert (0 < / (sqrt q * sqrt r)) by (apply Rinv_0_lt_compat, Rmult_lt_0_compat; assumption).
  enough (n * sqrt r <= m * sqrt q) by (unfold Rdiv; nra).
  apply Rle_trans with (c * m * sqrt r); [apply Rmult_le_compat_r; lra|].
  replace (c * m * sqrt r) with (m * (c * sqrt r)) by ring. apply Rmult_le_compat_l; lra. Qed.

Lemma scores_below c n q m r : 0 < c -> 0 < q -> 0 < r -> n <= 0 -> n - c * m <= 0 -> q - c ^ 2 * r <= 0 ->
  n / sqrt q - m / sqrt r <= 0.
Proof. intros Hc Hq Hr Hn Hm H. destruct (Rle_lt_dec 0 m) as [l | l]; [apply scores_apart; lra|].
  replace (n / sqrt q - m / sqrt r) with (- m / sqrt r - - n / sqrt q) by (unfold Rdiv; ring).
  assert (Hi : 0 < / c) by (apply Rinv_0_lt_compat; assumption). assert (E : c * / c = 1) by (field; lra).
  apply (scores_above (/ c)); try assumption; [lra | nra|].
  replace ((/ c) ^ 2 * q - r) with ((/ c) ^ 2 * (q - c ^ 2 * r)) by (field; lra).
  assert (0 < (/ c) ^ 2) by (apply pow_lt; assumption). nra. Qed.

(* The rule's common score (u a + w b)/sqrt(u^2 S + w^2 T). More reliance does not lower it if T <= S, and (u', w') lies
   as close to (a, b), in angle, as (u, w) does: where T = S, the score is a multiple of that angle's cosine. *)
Lemma T1_common a b S T u w u' w' : 0 <= a -> 0 <= b -> 0 < S -> 0 <= T -> 0 < u -> 0 < u' -> 0 <= w -> 0 <= w' ->
  w * u' - w' * u <= 0 -> T - S <= 0 ->
  (a ^ 2 - b ^ 2) * (w * u' + w' * u) + 2 * a * b * (w * w' - u * u') <= 0 ->
  (u * a + w * b) / sqrt (u ^ 2 * S + w ^ 2 * T) - (u' * a + w' * b) / sqrt (u' ^ 2 * S + w' ^ 2 * T) <= 0.
Proof. intros Ha Hb HS HT Hu Hu' Hw Hw' Ht HTS H. apply scores_by_squares; [positive | positive | nonneg|].
  replace ((u * a + w * b) ^ 2 * (u' ^ 2 * S + w' ^ 2 * T) - (u' * a + w' * b) ^ 2 * (u ^ 2 * S + w ^ 2 * T)) with
    (- ((w' * u - w * u') * ((S - T) * (a ^ 2 * (w * u' + w' * u) + 2 * a * b * (w * w'))
      + S * - ((a ^ 2 - b ^ 2) * (w * u' + w' * u) + 2 * a * b * (w * w' - u * u'))))) by ring.
  enough (0 <= (w' * u - w * u') * ((S - T) * (a ^ 2 * (w * u' + w' * u) + 2 * a * b * (w * w'))
    + S * - ((a ^ 2 - b ^ 2) * (w * u' + w' * u) + 2 * a * b * (w * w' - u * u')))) by lra.
  nonneg. Qed.

Lemma wider c a x b : c - a <= 0 -> a <= x <= b -> c <= x <= b.
Proof. lra. Qed.

Lemma through x z y : x - z <= 0 -> z - y <= 0 -> x - y <= 0.
Proof. lra. Qed.

Lemma ln_apart a b r : 0 < r -> 0 < b -> a = r * b -> ln a = ln r + ln b.
Proof. intros ? ? ->. apply ln_mult; assumption. Qed.

Lemma from_low a b x : a <= x <= b -> exists y, 0 <= y /\ x = a + y.
Proof. intros. exists (x - a). lra. Qed.

Lemma root q : 0 <= q -> exists s, 0 <= s /\ s ^ 2 = q /\ sqrt q = s.
Proof. intros. exists (sqrt q). split; [apply sqrt_pos|]. split; [|reflexivity]. simpl. rewrite Rmult_1_r. apply sqrt_sqrt, H. Qed.

Lemma over_root q : 0 < q -> q / sqrt q = sqrt q.
Proof. intros. assert (0 < sqrt q) by (apply sqrt_lt_R0; assumption). rewrite <- (sqrt_sqrt q) at 1 by lra. field. lra. Qed.

(* Two formulas of roots are equal. *)
Ltac same := rewrite ?sqrt_1; first [ field; repeat split; nonzero
                                    | rewrite over_root by positive; field; repeat split; nonzero ].
